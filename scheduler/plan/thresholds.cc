// SPDX-License-Identifier: Apache-2.0
#include "scheduler/plan/thresholds.h"

#include <algorithm>

namespace slipway::plan {
namespace {

constexpr std::size_t kLevelsMax = 48;  // in a dimension; each costs one bit per node and change

}  // namespace

void Thresholds::Learn(const Vec& need, const std::vector<Vec>& free) {
  for (std::size_t dim = 0; dim < kDims; ++dim) {
    std::vector<Level>& levels = levels_[dim];
    if (need[dim] <= 0 || levels.size() == kLevelsMax) continue;
    auto place = std::ranges::lower_bound(levels, need[dim], {}, &Level::value);
    if (place != levels.end() && place->value == need[dim]) continue;
    Level level{need[dim], NodeBits(free.size())};
    for (std::size_t node = 0; node < free.size(); ++node) {
      if (free[node][dim] >= level.value) level.nodes.Set(static_cast<NodeNumber>(node));
    }
    levels.insert(place, std::move(level));
  }
}

void Thresholds::AddNode(const Vec& free) {
  for (std::size_t dim = 0; dim < kDims; ++dim) {
    for (Level& level : levels_[dim]) level.nodes.Resize(level.nodes.size() + 1, free[dim] >= level.value);
  }
}

void Thresholds::Update(NodeNumber node, const Vec& before, const Vec& after) {
  for (std::size_t dim = 0; dim < kDims; ++dim) {
    if (before[dim] == after[dim]) continue;
    std::int64_t low = std::min(before[dim], after[dim]), high = std::max(before[dim], after[dim]);
    for (Level& level : levels_[dim]) {
      if (level.value > high) break;
      if (level.value > low) level.nodes.Put(node, after[dim] >= level.value);
    }
  }
}

bool Thresholds::Select(const Vec& need, const NodeBits& from, const NodeBits& usable, NodeBits& sure,
                        NodeBits& maybe) const {
  std::array<const NodeBits*, kDims> yes{}, perhaps{};
  std::size_t yes_count = 0, perhaps_count = 0;
  bool none_sure = false, exact = true;
  for (std::size_t dim = 0; dim < kDims; ++dim) {
    if (need[dim] <= 0) continue;
    const std::vector<Level>& levels = levels_[dim];
    auto above = std::ranges::lower_bound(levels, need[dim], {}, &Level::value);
    bool hit = above != levels.end() && above->value == need[dim];
    if (above == levels.end()) {
      none_sure = true;
    } else {
      yes[yes_count++] = &above->nodes;
    }
    if (hit) {
      perhaps[perhaps_count++] = &above->nodes;
      continue;
    }
    exact = false;
    if (above != levels.begin()) perhaps[perhaps_count++] = &std::prev(above)->nodes;
  }
  for (std::size_t i = 0; i < from.words(); ++i) {
    std::uint64_t word = from.word(i) & usable.word(i);
    for (std::size_t k = 0; k < perhaps_count; ++k) word &= perhaps[k]->word(i);
    maybe.SetWord(i, word);
    for (std::size_t k = 0; k < yes_count; ++k) word &= yes[k]->word(i);
    sure.SetWord(i, none_sure ? 0 : word);
  }
  return !exact;
}

}  // namespace slipway::plan
