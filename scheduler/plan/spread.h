// SPDX-License-Identifier: Apache-2.0
// How many tasks does each node get? Knows nothing of nodes but how many tasks each could take, so a job in
// the cluster and a step in its job are laid out by the same code.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace slipway::plan {

using Counts = std::vector<std::uint32_t>;  // tasks by node; 0: not used

struct Spread {
  std::uint32_t tasks = 0;  // 0: `each` on every node
  std::uint32_t each = 1;   // with tasks 0
  std::uint32_t nodes_min = 1, nodes_max = 1;
  bool evenly = false;         // over the nodes chosen; else they are filled in order
  bool widely = false;         // over as many nodes as can take a task, up to nodes_max
  std::uint32_t required = 0;  // with tasks: the first so many nodes are all used
};

// Without tasks: the first nodes that can take `each`, up to nodes_max. With tasks: the first nodes that can
// all take the same number, where that divides; a node that holds all the tasks; else as few nodes as hold
// them, the emptiest first (which is exact: if these do not hold the tasks, no others of that number do).
// Nothing when it does not fit.
std::optional<Counts> ChooseCounts(const Spread& want, const Counts& capacity);

}  // namespace slipway::plan
