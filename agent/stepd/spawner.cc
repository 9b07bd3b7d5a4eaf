// SPDX-License-Identifier: Apache-2.0
// What each node does with a spawned world; spawn_leader.cc is the first node's part.
#include "agent/stepd/spawner.h"

#include <algorithm>
#include <csignal>

#include "agent/stepd/outcome.h"

namespace slipway {

Spawner::~Spawner() {
  for (auto& [number, world] : worlds_) loop_.Cancel(world.timer);
}

std::string Spawner::NameOf(const World& world, std::uint32_t rank) const {
  return Cat("rank ", rank, " of spawned world ", world.what.number, " on ", host_.nodes[host_.node]);
}

std::string Spawner::NameOf(const std::string& name, std::uint32_t rank) const {
  for (auto& [number, world] : worlds_) {
    if (world.what.name == name) return NameOf(world, rank);
  }
  return {};
}

void Spawner::Prepare(SpawnedWorld what, const Exchange::Reply& reply) {
  if (what.ranks.size() != host_.nodes.size())
    return reply(Fail(Code::kInvalidArgument, "a spawned world of other nodes than the step's"));
  bool ranks_here = !what.ranks[host_.node].empty();
  auto ready = ranks_here ? host_.may_start() : Result<>{};
  if (ready) ready = host_.make_known(what);
  if (!ready) return reply(Failure(std::move(ready).error().Context(host_.nodes[host_.node])));
  std::uint32_t number = what.number;
  worlds_[number].what = std::move(what);
  reply(std::string());
}

void Spawner::Start(std::uint32_t number, Exchange::Reply reply) {
  auto at = worlds_.find(number);
  if (at == worlds_.end()) return reply(Fail(Code::kNotFound, "a spawned world that is not known here"));
  World& world = at->second;
  world.starting = std::move(reply);
  for (std::uint32_t rank : world.what.ranks[host_.node]) {
    if (next_task_ == INT32_MAX)
      return FailStart(world, Error{Code::kResourceExhausted, 0, "a step spawns no more than 2^30 ranks"});
    std::uint32_t task = next_task_++;
    auto started = host_.start(world.what, rank, task);
    if (!started) return FailStart(world, started.error());
    tasks_[task] = {number, rank};
    world.ranks[rank] = {.alive = true};
  }
  if (host_.connect_limit.count() == 0 || world.what.request.need_not_connect) return;
  world.timer = loop_.After(host_.connect_limit, [this, number] {
    auto late = worlds_.find(number);
    if (late == worlds_.end() || !late->second.starting) return;
    FailStart(late->second,
              Error{Code::kDeadlineExceeded, 0,
                    Cat("on ", host_.nodes[host_.node], " not all spawned ranks called MPI_Init within ",
                        host_.connect_limit.count(), " s (--mpi-timeout)")});
  });
}

void Spawner::MaybeAllThere(World& world) {
  if (!world.starting) return;
  bool connect = !world.what.request.need_not_connect;
  for (auto& [rank, state] : world.ranks) {
    if (!(connect ? state.connected : state.started)) return;
  }
  loop_.Cancel(world.timer);
  std::exchange(world.starting, nullptr)(std::string());
}

void Spawner::FailStart(World& world, Error error) {
  loop_.Cancel(world.timer);
  Exchange::Reply reply = std::exchange(world.starting, nullptr);
  KillHere(world.what.number);
  if (reply) reply(Failure(std::move(error)));
}

void Spawner::KillHere(std::uint32_t number) {
  auto at = worlds_.find(number);
  bool again = at != worlds_.end() && std::exchange(at->second.killed, true);
  bool any = false;
  for (auto& [task, what] : tasks_) {
    if (what.world != number) continue;
    if (!again) host_.signal(task, SIGKILL);
    any = true;
  }
  if (!any) SayEnded(number);
}

void Spawner::OnStarted(std::uint32_t task) {
  auto at = tasks_.find(task);
  if (at == tasks_.end()) return;
  World& world = worlds_.at(at->second.world);
  world.ranks.at(at->second.rank).started = true;
  MaybeAllThere(world);
}

void Spawner::OnConnected(const std::string& name, std::uint32_t rank) {
  for (auto& [number, world] : worlds_) {
    if (world.what.name != name) continue;
    if (auto at = world.ranks.find(rank); at != world.ranks.end()) at->second.connected = true;
    return MaybeAllThere(world);
  }
}

std::uint64_t Spawner::Signal(const std::string& world, std::uint32_t rank, int signal_number) {
  std::uint64_t count = 0;
  for (auto& [number, task] : tasks_) {
    if (worlds_.at(task.world).what.name != world || (rank != kAllRanks && task.rank != rank)) continue;
    host_.signal(number, signal_number);
    ++count;
  }
  return count;
}

void Spawner::OnExited(std::uint32_t task, std::int32_t wait_status) {
  auto at = tasks_.find(task);
  if (at == tasks_.end()) return;
  ExitStatus status{wait_status};
  Ended(at->second, status, HowItEnded(status));
}

void Spawner::OnNotStarted(const TaskFailed& failed) {
  auto at = tasks_.find(failed.task);
  if (at != tasks_.end())
    Ended(at->second, ExitStatus{failed.exit_code << 8}, Cat("did not start: ", failed.message));
}

void Spawner::Ended(Task task, ExitStatus status, const std::string& how) {
  std::int32_t exit_code = status.exit_code();
  std::erase_if(tasks_, [&](auto& entry) {
    return entry.second.world == task.world && entry.second.rank == task.rank;
  });
  World& world = worlds_.at(task.world);
  Rank& rank = world.ranks.at(task.rank);
  rank.alive = false;
  std::string line = Cat(NameOf(world, task.rank), " ", how);
  bool early = world.starting && (!rank.connected || exit_code != 0);
  bool killed = world.killed;
  host_.rank_ended(world.what.name, task.rank, status);
  bool last = std::none_of(world.ranks.begin(), world.ranks.end(), [](auto& it) { return it.second.alive; });
  // The one who hears of it first is who asked; KillHere says the end, where this was the last.
  if (early && !(world.what.request.need_not_connect && exit_code == 0)) {
    FailStart(world, Error{Code::kFailedPrecondition, 0, Cat(line, " before it had called MPI_Init")});
  } else {
    if (last) SayEnded(task.world);
    if (exit_code != 0 && !killed) host_.rank_failed(exit_code, line);
  }
  host_.changed();
}

void Spawner::SayEnded(std::uint32_t number) {
  host_.ask(0, Service::kWorldEnded, Encode(number), [](Result<std::string>) {});
}

void Spawner::OnInitGone() {
  while (!tasks_.empty()) Ended(tasks_.begin()->second, ExitStatus{SIGKILL}, "ended with its container");
}

}  // namespace slipway
