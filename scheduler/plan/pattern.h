// SPDX-License-Identifier: Apache-2.0
// Wishes about a set of nodes as a whole, beyond what each of them must be: "two with a GPU and one with much
// memory", "all in one rack, whichever". Few requests have them, so they are kept beside and named by number.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "scheduler/plan/node_bits.h"
#include "scheduler/plan/topology.h"

namespace slipway::plan {

// At least so many of the chosen nodes are in the set (Cluster::SetOf). A node counts for one of the counts.
struct NodeCount {
  std::uint32_t set = 0, nodes = 0;
  auto operator<=>(const NodeCount&) const = default;
};
inline constexpr std::size_t kCountsMax = 4;

// Another way in which a request may be met: nodes of that set, with that pattern.
struct Alternative {
  std::uint32_t where = 0, pattern = 0;
  auto operator<=>(const Alternative&) const = default;
};

// A request has one of them.
struct Pattern {
  std::vector<NodeCount> counts;    // at most kCountsMax
  std::vector<Alternative> one_of;  // the first that can be met now, or the one that can be met first
  Nearness near;                    // of the nodes to one another
  // Of a request with tasks: each node of this set gets one at least (without tasks: say it as a count). 0:
  // no such wish.
  std::uint32_t all_of = 0;
  auto operator<=>(const Pattern&) const = default;
  bool empty() const { return counts.empty() && one_of.empty() && !near.any() && all_of == 0; }
};

// `least` nodes, as far as `most` where there are as many, the first in order that meet the counts; sets[i]
// belongs to counts[i]. Nothing when no choice does. The answer ascends.
std::optional<std::vector<NodeNumber>> ChooseCounted(std::span<const NodeNumber> in_order,
                                                     const std::vector<NodeCount>& counts,
                                                     const std::vector<const NodeBits*>& sets,
                                                     std::size_t least, std::size_t most);

}  // namespace slipway::plan
