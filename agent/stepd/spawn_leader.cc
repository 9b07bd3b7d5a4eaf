// SPDX-License-Identifier: Apache-2.0
// The first node's part of MPI_Comm_spawn: places, has every node prepare, has those with ranks start, and
// takes everything back when one of them cannot.
#include <memory>

#include "agent/stepd/spawner.h"

namespace slipway {

struct Spawner::Order {
  Stage stage = Stage::kPrepare;
  SpawnedWorld world;
};
void Fields(auto& archive, auto& v) requires requires { v.stage, v.world; }
{ archive(v.stage, v.world); }

void Spawner::Serve(std::uint32_t node, Service service, std::string_view data, Exchange::Reply reply) {
  if (service == Service::kSpawn) {
    auto request = Decode<SpawnRequest>(data, "spawn request");
    if (!request) return reply(Failure(request.error()));
    return Place(std::move(*request), std::move(reply));
  }
  if (service == Service::kWorldEnded) {
    auto number = Decode<std::uint32_t>(data, "world");
    if (!number) return reply(Failure(number.error()));
    OnEnded(*number, node);
    return reply(std::string());
  }
  auto order = Decode<Order>(data, "order for a spawned world");
  if (!order) return reply(Failure(order.error()));
  if (node != 0) return reply(Fail(Code::kPermissionDenied, "worlds are spawned by the step's first node"));
  switch (order->stage) {
    case Stage::kPrepare:
      return Prepare(std::move(order->world), reply);
    case Stage::kStart:
      return Start(order->world.number, std::move(reply));
    case Stage::kKill:
      KillHere(order->world.number);
      return reply(std::string());
    case Stage::kForget:
      if (auto at = worlds_.find(order->world.number); at != worlds_.end()) {
        loop_.Cancel(at->second.timer);
        host_.forget(at->second.what);
        worlds_.erase(at);
      }
      return reply(std::string());
  }
  reply(Fail(Code::kInvalidArgument, "no stage of a spawned world"));
}

void Spawner::Place(SpawnRequest request, Exchange::Reply reply) {
  auto placed = ledger_.Place(std::move(request));
  if (!placed) return reply(Failure(placed.error()));
  const SpawnedWorld& world = led_[placed->number] = std::move(*placed);
  auto fail = [this, number = world.number, reply](const Error& error) {
    if (auto at = led_.find(number); at != led_.end()) Abandon(at->second);
    reply(Failure(error));
  };
  TellNodes(Stage::kPrepare, world, [this, number = world.number, fail, reply](Result<> prepared) {
    if (!prepared) return fail(prepared.error());
    auto at = led_.find(number);
    if (at == led_.end()) return fail(Error{Code::kCancelled, 0, "the spawned ranks have ended"});
    TellNodes(Stage::kStart, at->second, [name = at->second.name, fail, reply](Result<> started) {
      if (!started) return fail(started.error());
      reply(name);
    });
  });
}

// The first error is the answer: ranks that wait in MPI_Init for one that is not there would not come. What
// is said to a node next comes after this.
void Spawner::TellNodes(Stage stage, const SpawnedWorld& world, Done done) {
  std::vector<std::uint32_t> whom;
  for (std::uint32_t node = 0; node < host_.nodes.size(); ++node) {
    bool all = stage == Stage::kPrepare || stage == Stage::kForget;
    if (all || !world.ranks[node].empty()) whom.push_back(node);
  }
  Order order{.stage = stage};
  if (stage == Stage::kPrepare) {
    order.world = world;
  } else {
    order.world.number = world.number;
  }
  struct Waiting {
    std::size_t left;
    Done done;  // until it has been told
  };
  auto waiting = std::make_shared<Waiting>(Waiting{.left = whom.size(), .done = std::move(done)});
  std::string data = Encode(order);
  std::vector<bool> has_ranks(host_.nodes.size());
  for (std::uint32_t node : whom) has_ranks[node] = !world.ranks[node].empty();
  for (std::uint32_t node : whom) {
    bool matters = has_ranks[node];
    host_.ask(node, Service::kWorld, data, [waiting, matters](Result<std::string> answer) {
      // A node that has ended already, and was to get no rank, is not missed.
      bool missed = !answer && (matters || answer.error().code != Code::kUnavailable);
      --waiting->left;
      if (!waiting->done || (!missed && waiting->left > 0)) return;
      std::exchange(waiting->done, nullptr)(missed ? Result<>(Failure(answer.error())) : Result<>{});
    });
  }
}

void Spawner::Abandon(const SpawnedWorld& world) {
  std::vector<std::uint32_t> nodes;
  for (std::uint32_t node = 0; node < host_.nodes.size(); ++node) {
    if (!world.ranks[node].empty()) nodes.push_back(node);
  }
  std::string data = Encode(Order{.stage = Stage::kKill, .world = {.number = world.number}});
  for (std::uint32_t node : nodes) {
    host_.ask(node, Service::kWorld, data, [this, node, number = world.number](Result<std::string> answer) {
      if (!answer) OnEnded(number, node);  // it is gone, and its ranks with it
    });
  }
}

std::vector<PmixPeer> Spawner::RanksOn(std::uint32_t node) const {
  std::vector<PmixPeer> ranks;
  for (const auto& [number, world] : worlds_) {
    for (std::uint32_t rank : world.what.ranks.at(node)) ranks.push_back({world.what.name, rank});
  }
  return ranks;
}

std::vector<SpawnedWorld> Spawner::Worlds() const {
  std::vector<SpawnedWorld> worlds;
  for (const auto& [number, world] : worlds_) worlds.push_back(world.what);
  return worlds;
}

void Spawner::OnPeerGone(std::uint32_t node) {
  std::vector<std::uint32_t> numbers;
  for (auto& [number, world] : led_) numbers.push_back(number);
  for (std::uint32_t number : numbers) OnEnded(number, node);
}

void Spawner::OnEnded(std::uint32_t number, std::uint32_t node) {
  if (!ledger_.Ended(number, node)) return;
  auto at = led_.find(number);
  if (at == led_.end()) return;
  SpawnedWorld world = std::move(at->second);
  led_.erase(at);
  TellNodes(Stage::kForget, world, [](Result<>) {});
  host_.changed();
}

}  // namespace slipway
