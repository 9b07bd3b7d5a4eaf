// SPDX-License-Identifier: Apache-2.0
#include "pmix/exchange/spawn.h"

#include <algorithm>

#include "base/text/text.h"

namespace slipway {
namespace {

Result<std::uint32_t> RanksOf(const SpawnRequest& request) {
  if (request.programs.empty() || request.programs.size() > kSpawnProgramsMax)
    return Fail(Code::kInvalidArgument, "a spawn of ", request.programs.size(), " programs");
  std::uint64_t ranks = 0;
  for (const SpawnProgram& program : request.programs) {
    if (program.argv.empty() || program.argv[0].empty())
      return Fail(Code::kInvalidArgument, "a spawn without a program");
    if (program.count == 0) return Fail(Code::kInvalidArgument, "a spawn of no ranks of ", program.argv[0]);
    ranks += program.count;
  }
  if (ranks > kSpawnRanksMax)
    return Fail(Code::kInvalidArgument, "a spawn of ", ranks, " ranks; at most ", kSpawnRanksMax);
  return static_cast<std::uint32_t>(ranks);
}

}  // namespace

std::size_t ProgramOf(const SpawnRequest& request, std::uint32_t rank) {
  std::size_t program = 0;
  while (program + 1 < request.programs.size() && rank >= request.programs[program].count)
    rank -= request.programs[program++].count;
  return program;
}

void ReadSpawnMapping(std::string_view policy, SpawnRequest& request) {
  std::string lower;
  for (char c : policy) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  for (std::string_view qualifier : Split(lower, ':')) {
    if (qualifier == "node") request.by_node = true;
    if (qualifier == "oversubscribe") request.oversubscribe = true;
  }
}

void AddSpawnHosts(std::string_view list, SpawnRequest& request) {
  for (std::string_view host : Split(list, ',')) {
    if (!host.empty()) request.hosts.emplace_back(host.substr(0, host.find(':')));
  }
}

SpawnLedger::SpawnLedger(std::string step_name, std::vector<Node> nodes)
    : step_name_(std::move(step_name)), nodes_(std::move(nodes)) {}

std::uint32_t SpawnLedger::slots() const {
  std::uint32_t all = 0;
  for (const Node& node : nodes_) all += node.slots;
  return all;
}

// The nodes that the request names, in the step's order.
Result<std::vector<std::uint32_t>> SpawnLedger::Eligible(const SpawnRequest& request) const {
  std::set<std::uint32_t> named;
  for (const std::string& host : request.hosts) {
    auto at = std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& node) { return node.name == host; });
    if (at == nodes_.end())
      return Fail(
          Code::kUnimplemented, "host ", host.substr(0, 80),
          " is not a node of this step: ranks are spawned where it has some; give the step a rank there");
    named.insert(static_cast<std::uint32_t>(at - nodes_.begin()));
  }
  std::vector<std::uint32_t> nodes(named.begin(), named.end());
  if (nodes.empty()) {
    for (std::uint32_t node = 0; node < nodes_.size(); ++node) nodes.push_back(node);
  }
  return nodes;
}

std::uint32_t SpawnLedger::RoomOn(std::uint32_t node, const SpawnRequest& request) const {
  if (request.oversubscribe) return kSpawnRanksMax;
  const Node& there = nodes_[node];
  return there.slots > there.used ? there.slots - there.used : 0;
}

Result<SpawnedWorld> SpawnLedger::Place(SpawnRequest request) {
  std::uint32_t wanted = TRY(RanksOf(request));
  std::vector<std::uint32_t> nodes = TRY(Eligible(request));
  std::uint32_t room = 0, slots = 0;
  std::vector<std::uint32_t> left(nodes_.size());
  for (std::uint32_t node : nodes) {
    left[node] = RoomOn(node, request);
    room += std::min(left[node], kSpawnRanksMax);
    slots += nodes_[node].slots;
  }
  if (room < wanted) {
    return Fail(Code::kResourceExhausted, wanted, wanted == 1 ? " rank was" : " ranks were",
                " asked for, and of the ", slots, " that the step's nodes have cores for, ", room,
                " are free: give the job more tasks (-n) than the step begins with, or say "
                "map_by=:OVERSUBSCRIBE");
  }
  SpawnedWorld world{.number = ++last_, .name = Cat(step_name_, ".", last_), .request = std::move(request)};
  world.ranks.resize(nodes_.size());
  // Oversubscribed nodes are filled evenly: there is no order in which they would be full.
  bool in_turn = world.request.by_node || world.request.oversubscribe;
  for (std::uint32_t rank = 0, turn = 0; rank < wanted;) {
    std::uint32_t node = nodes[turn % nodes.size()];
    if (left[node] > 0) {
      --left[node];
      world.ranks[node].push_back(rank++);
      if (!in_turn) continue;
    }
    ++turn;
  }
  for (std::uint32_t node : nodes) {
    auto count = static_cast<std::uint32_t>(world.ranks[node].size());
    if (count == 0) continue;
    nodes_[node].used += count;
    live_[world.number][node] = count;
  }
  return world;
}

bool SpawnLedger::Ended(std::uint32_t world, std::uint32_t node) {
  auto at = live_.find(world);
  if (at == live_.end()) return false;
  auto part = at->second.find(node);
  if (part == at->second.end()) return false;
  nodes_[node].used -= part->second;
  at->second.erase(part);
  if (!at->second.empty()) return false;
  live_.erase(at);
  return true;
}

}  // namespace slipway
