// SPDX-License-Identifier: Apache-2.0
// Switches are numbered from the leaves up, so that one above another has a greater number; nodes are in the
// order in which a walk down from the roots meets them.
#include "scheduler/core/network_order.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>

namespace slipway::scheduler {
namespace {

constexpr std::uint64_t kTorusNodesMax = 1'000'000;

template <class... Why>
Failure Wrong(const Why&... why) {
  return Fail(Code::kInvalidArgument, "topology: ", why...);
}

Result<> CheckTorus(const NetworkRules& rules) {
  std::uint64_t points = 1;
  for (std::uint32_t side : rules.torus) {
    if (side == 0 || side > kTorusNodesMax) return Wrong("a torus has three sides of 1 to ", kTorusNodesMax);
    points *= side;
    if (points > kTorusNodesMax) return Wrong("a torus of more than ", kTorusNodesMax, " nodes");
  }
  if (rules.torus_nodes.size() != points)
    return Wrong("the torus has ", points, " points, and ", rules.torus_nodes.size(), " nodes are given");
  std::set<std::string> names(rules.torus_nodes.begin(), rules.torus_nodes.end());
  if (names.size() != rules.torus_nodes.size()) return Wrong("a node of the torus is there twice");
  return {};
}

using Switches = std::map<std::string, const Switch*>;

// How far a switch is above its leaves; 0: it is one. UINT32_MAX: it is above itself.
std::uint32_t HeightOf(const Switches& all, const Switch& from, std::size_t depth = 0) {
  if (depth > all.size()) return UINT32_MAX;
  std::uint32_t height = 0;
  for (const std::string& below : from.switches) {
    std::uint32_t one = HeightOf(all, *all.at(below), depth + 1);
    if (one == UINT32_MAX) return one;
    height = std::max(height, one + 1);
  }
  return height;
}

Switches ByName(const NetworkRules& rules) {
  Switches all;
  for (const Switch& one : rules.switches) all[one.name] = &one;
  return all;
}

}  // namespace

Result<> CheckNetwork(const NetworkRules& rules) {
  if (rules.kind == NetworkKind::kFlat) return {};
  if (rules.kind == NetworkKind::kTorus) return CheckTorus(rules);
  if (rules.switches.empty()) return Wrong("no [[switch]] says where the nodes are");
  Switches all = ByName(rules);
  if (all.size() != rules.switches.size()) return Wrong("a switch is there twice");
  std::map<std::string, std::string> above;  // of nodes and switches: nodes have a name with a blank before
  for (const Switch& one : rules.switches) {
    if (one.nodes.empty() == one.switches.empty())
      return Wrong("switch ", one.name, " has either nodes or switches below it");
    if (rules.kind == NetworkKind::kBlock && one.nodes.empty())
      return Wrong("switch ", one.name, ": a block has nodes");
    auto add = [&](const std::string& what, std::string_view kind, const std::string& key) -> Result<> {
      auto [place, added] = above.try_emplace(key, one.name);
      if (added) return {};
      return Wrong(kind, " ", what, " is below switch ", place->second, " and below ", one.name);
    };
    for (const std::string& node : one.nodes) TRY(add(node, "node", Cat(' ', node)));
    for (const std::string& below : one.switches) {
      if (!all.contains(below)) return Wrong("switch ", one.name, ": there is no switch ", below);
      TRY(add(below, "switch", below));
    }
  }
  for (const Switch& one : rules.switches) {
    if (HeightOf(all, one) == UINT32_MAX) return Wrong("switch ", one.name, " is above itself");
  }
  return {};
}

NetworkOrder::NetworkOrder(const NetworkRules& rules) {
  switch (rules.kind) {
    case NetworkKind::kFlat:
      return;
    case NetworkKind::kTree:
    case NetworkKind::kDragonfly:
      AddTree(rules);
      return;
    case NetworkKind::kBlock:
      AddBlocks(rules);
      return;
    case NetworkKind::kTorus:
      AddTorus(rules);
      return;
  }
}

void NetworkOrder::AddTree(const NetworkRules& rules) {
  network_ = rules.kind == NetworkKind::kTree ? plan::Network::kTree : plan::Network::kDragonfly;
  Switches all = ByName(rules);
  std::vector<std::pair<std::uint32_t, const Switch*>> by_height;
  std::map<std::string, std::string> above;
  for (const Switch& one : rules.switches) {
    by_height.emplace_back(HeightOf(all, one), &one);
    for (const std::string& below : one.switches) above[below] = one.name;
  }
  std::ranges::stable_sort(by_height, {}, [](const auto& entry) { return entry.first; });
  std::map<std::string, std::uint32_t> numbers;
  other_leaf_ = 0;
  for (const auto& [height, one] : by_height)
    numbers[one->name] = static_cast<std::uint32_t>(numbers.size()) + 1;
  auto root = static_cast<std::uint32_t>(numbers.size()) + 1;
  parent_.assign(root + 1, root);
  for (const auto& [below, over] : above) parent_[numbers.at(below)] = numbers.at(over);
  std::function<void(const Switch&)> walk = [&](const Switch& at) {
    for (const std::string& node : at.nodes)
      places_[node] = {static_cast<std::uint32_t>(places_.size()), numbers.at(at.name)};
    for (const std::string& below : at.switches) walk(*all.at(below));
  };
  for (const Switch& one : rules.switches) {
    if (!above.contains(one.name)) walk(one);
  }
}

// Blocks side by side, two and two: the switch so many levels above a block has 2^levels of them.
void NetworkOrder::AddBlocks(const NetworkRules& rules) {
  network_ = plan::Network::kTree;
  std::uint32_t leaf = 0;
  for (const Switch& block : rules.switches) {
    for (const std::string& node : block.nodes)
      places_[node] = {static_cast<std::uint32_t>(places_.size()), leaf};
    ++leaf;
  }
  other_leaf_ = leaf;
  parent_.assign(leaf + 1, 0);
  std::vector<std::uint32_t> level(leaf);
  std::iota(level.begin(), level.end(), 0);
  while (level.size() > 1) {
    std::vector<std::uint32_t> above;
    for (std::size_t i = 0; i < level.size(); ++i) {
      if (i % 2 == 0) {
        above.push_back(static_cast<std::uint32_t>(parent_.size()));
        parent_.push_back(0);
      }
      parent_[level[i]] = above.back();
    }
    level = std::move(above);
  }
  auto root = static_cast<std::uint32_t>(parent_.size());
  parent_.push_back(root);
  parent_[level.front()] = parent_[other_leaf_] = root;
}

void NetworkOrder::AddTorus(const NetworkRules& rules) {
  network_ = plan::Network::kLine;
  unsigned bits = 0;
  while ((1U << bits) < std::ranges::max(rules.torus)) ++bits;
  std::vector<std::pair<std::uint64_t, std::size_t>> along;
  auto [x_side, y_side, z_side] = rules.torus;
  for (std::size_t i = 0; i < rules.torus_nodes.size(); ++i) {
    auto x = static_cast<std::uint32_t>(i % x_side), y = static_cast<std::uint32_t>(i / x_side % y_side),
         z = static_cast<std::uint32_t>(i / x_side / y_side);
    along.emplace_back(plan::HilbertIndex(x, y, z, bits), i);
  }
  std::ranges::sort(along);
  for (const auto& [index, i] : along)
    places_[rules.torus_nodes[i]] = {static_cast<std::uint32_t>(places_.size()), 0};
  parent_ = {0};
}

std::uint32_t NetworkOrder::PositionOf(const std::string& node) const {
  auto found = places_.find(node);
  return found == places_.end() ? UINT32_MAX / 2 : found->second.position;
}

plan::Topology NetworkOrder::TopologyOf(const std::vector<std::string>& names) const {
  plan::Topology topology{network_, {}, {}, parent_};
  if (network_ == plan::Network::kFlat) return {};
  auto unnamed = static_cast<std::uint32_t>(places_.size()) + 1;
  for (const std::string& name : names) {
    auto found = places_.find(name);
    bool known = found != places_.end();
    topology.position.push_back(known ? found->second.position : unnamed++);
    topology.leaf.push_back(known ? found->second.leaf : other_leaf_);
  }
  return topology;
}

}  // namespace slipway::scheduler
