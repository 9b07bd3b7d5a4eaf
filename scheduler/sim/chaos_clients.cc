// SPDX-License-Identifier: Apache-2.0
// What users and administrators ask for.
#include <algorithm>

#include "scheduler/sim/chaos_world.h"

namespace slipway::scheduler {

// Also of nodes that there are not, and of the same in both.
NodeChoice World::RandomChoice() {
  NodeChoice choice;
  const std::vector<std::string> names = NodeNames();
  for (std::uint32_t i = rng_.Between(1, 2); i > 0; --i) {
    std::string& list = rng_.Chance(600) ? choice.nodes : choice.excluded;
    list += Cat(list.empty() ? "" : ",", rng_.Chance(20) ? "nowhere" : names[rng_.Below(names.size())]);
  }
  return choice;
}

JobSpec World::RandomJob() {
  JobSpec spec;
  spec.name = "chaos";
  spec.user = {kChaosUid, kChaosUid, {kChaosUid}, "alice", "/home/alice", "/bin/sh"};
  spec.resources.tasks = rng_.Between(1, 4);
  if (rng_.Chance(400)) spec.resources.nodes_min = rng_.Between(1, spec.resources.tasks);
  if (rng_.Chance(300)) spec.resources.memory_bytes_per_node = rng_.Between(1, 700);
  spec.resources.exclusive = rng_.Chance(100);
  AskOfSite(rng_, *site_, spec);
  if (controller_ && !controller_->controller().state().reservations.empty() && rng_.Chance(300))
    spec.resources.reservation = "r";
  spec.interactive = rng_.Chance(400);
  spec.requeue = rng_.Chance(500);
  spec.priority = static_cast<std::int32_t>(rng_.Below(3));
  spec.command.argv = {"work"};
  spec.command.kill_on_bad_exit = rng_.Chance(800);
  if (rng_.Chance(300)) spec.command.image.digest = "sha256:aa";
  if (rng_.Chance(700)) spec.time_limit_s = rng_.Between(1, 90);
  if (spec.time_limit_s > 0 && rng_.Chance(400))
    spec.signal = {10, !spec.interactive && rng_.Chance(500), static_cast<std::uint16_t>(rng_.Below(40))};
  if (rng_.Chance(150)) spec.resources.choice.Set(RandomChoice());
  if (spec.time_limit_s > 1 && rng_.Chance(200)) spec.time_min_s = rng_.Between(1, spec.time_limit_s);
  if (rng_.Chance(100) && controller_)
    spec.begin = controller_->controller().state().now.PlusSeconds(static_cast<std::int64_t>(rng_.Below(60)));
  if (spec.time_limit_s > 0 && rng_.Chance(100) && controller_)
    spec.deadline = controller_->controller().state().now.PlusSeconds(
        spec.time_limit_s + static_cast<std::int64_t>(rng_.Below(60)));
  spec.hold = rng_.Chance(80);
  if (controller_ && rng_.Chance(200)) {
    const State& state = controller_->controller().state();
    std::uint64_t recent = std::min<std::uint64_t>(state.next_job.value - 1, 8);
    for (std::uint32_t i = 0; recent > 0 && i < rng_.Between(1, 2); ++i) {
      auto kind = static_cast<DependencyKind>(rng_.Between(1, 4));
      spec.dependencies.push_back(
          {kind, {state.next_job.value - 1 - rng_.Below(recent)}, rng_.Between(0, 5)});
    }
    if (rng_.Chance(200)) spec.dependencies.push_back({DependencyKind::kSingleton, {}, 0});
    spec.any_dependency = rng_.Chance(300);
  }
  if (!spec.interactive && rng_.Chance(150)) {
    spec.array.emplace();
    std::uint32_t tasks = rng_.Between(2, 9);
    for (std::uint32_t i = 0; i < tasks; ++i) spec.array->indices.push_back(2 * i);
    spec.array->max_running = rng_.Between(0, 2);
  }
  return spec;
}

void World::SubmitRandom() {
  SubmitJob submit{{1}, RandomJob()};
  if (rng_.Chance(300)) submit.lease_s = rng_.Between(kLeaseMin_s, kLeaseMin_s + 10);
  if (!rng_.Chance(150)) return Feed(submit);
  auto as_component = [](JobSpec& spec) {
    spec.array.reset();
    spec.time_min_s = spec.resources.switches = 0;
  };
  as_component(submit.spec);
  for (std::uint32_t others = rng_.Between(1, 2); others > 0; --others) {
    JobSpec& other = submit.others.emplace_back(RandomJob());
    as_component(other);
    other.dependencies.clear();
    other.interactive = submit.spec.interactive;
    if (other.interactive) other.command = submit.spec.command;
  }
  Feed(submit);
}

std::vector<std::string> World::NodeNames() const {
  std::vector<std::string> names;
  for (const auto& node : nodes_) names.push_back(node->name());
  return names;
}

void World::MeddleWithArray(JobId id, std::uint32_t owner) {
  switch (rng_.Below(4)) {
    case 0:
      return Feed(CancelJob{{1}, id, {owner, false}});
    case 1:
      return Feed(CancelJob{{1}, id, {owner + 100, false}});  // somebody else
    case 2:
      return Feed(ChangeJob{{1}, id, {owner, false}, {.hold = rng_.Chance(200) ? Hold::kUser : Hold::kNone}});
    default:
      return Feed(ChangeJob{{1}, id, {0, true}, {.nice = static_cast<std::int32_t>(rng_.Below(4))}});
  }
}

void World::Meddle() {
  if (!controller_) return;
  const State& state = controller_->controller().state();
  if (state.live.empty()) return;
  auto chosen = state.live.begin();
  std::advance(chosen, static_cast<std::ptrdiff_t>(rng_.Below(state.live.size())));
  JobId job = *chosen;
  // Now and then another task of its array, which may be no job yet, or the array.
  if (const Array* array = state.ArrayOf(job); array != nullptr && rng_.Chance(400))
    return MeddleWithArray(
        rng_.Chance(500) ? array->id : array->TaskId(static_cast<std::uint32_t>(rng_.Below(array->tasks))),
        array->spec->user.uid);
  const std::uint32_t owner = state.FindJob(job)->spec->user.uid;
  switch (rng_.Below(16)) {
    case 0:
      return Feed(CancelJob{{1}, job, {owner, false}});
    case 1:
      return Feed(
          CancelStep{{1}, {job, 0, state.FindJob(job)->spec->interactive ? 0 : kBatchStep}, {owner, false}});
    case 2:
      return Feed(ChangeNode{{1}, AnyNode().name(), NodeChange::kDrain, "chaos"});
    case 3:
      return Feed(ChangeNode{{1}, AnyNode().name(), NodeChange::kResume, ""});
    case 4:
      return Feed(
          ChangeJob{{1}, job, {owner, false}, {.hold = rng_.Chance(200) ? Hold::kUser : Hold::kNone}});
    case 5:
      return Feed(ChangeJob{{1}, job, {0, true}, {.nice = static_cast<std::int32_t>(rng_.Below(4))}});
    case 6:
      return Feed(ChangeJob{{1}, job, {owner, false}, {.requeue = true}});
    case 7:
      return Feed(ChangeAccount{{1}, {0, true}, AccountSet{RandomAccount(rng_)}});
    case 8:
    case 9:
      return Feed(ChangeReservation{
          {1}, {0, true}, RandomReservation(rng_, controller_->controller().state().now, NodeNames())});
    case 10:
      return Feed(ChangeReservation{{1}, {0, true}, ReservationRemoved{rng_.Chance(500) ? "r" : "m"}});
    case 11:
      return Feed(SuspendJob{{1}, job, {0, true}, true});
    case 12:
      return Feed(SuspendJob{{1}, job, {0, true}, false});
    default: {
      CreateStep step{{1}, job, {owner, false}, {}, {}, 0};
      step.command.argv = {"step"};
      step.resources.tasks = rng_.Between(0, 3);
      return Feed(step);
    }
  }
}

}  // namespace slipway::scheduler
