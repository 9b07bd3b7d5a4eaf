// SPDX-License-Identifier: Apache-2.0
// For some values of each dimension the set of nodes that have that much free now. A request that asks for
// one of these values is answered by ANDs alone; one between two values leaves a few nodes to look at.
#pragma once

#include <array>
#include <vector>

#include "scheduler/plan/node_bits.h"
#include "scheduler/plan/vec.h"

namespace slipway::plan {

class Thresholds {
 public:
  // Makes `need`'s values thresholds while there is room for more. `free[node]` is what each node has.
  void Learn(const Vec& need, const std::vector<Vec>& free);
  void AddNode(const Vec& free);
  void Update(NodeNumber node, const Vec& before, const Vec& after);

  // Of the nodes in both sets: `sure` have `need` free, those in `maybe` and not in `sure` have to be looked
  // at. Returns whether the two differ.
  bool Select(const Vec& need, const NodeBits& from, const NodeBits& usable, NodeBits& sure,
              NodeBits& maybe) const;

 private:
  struct Level {
    std::int64_t value = 0;
    NodeBits nodes;  // with at least that much
  };
  std::array<std::vector<Level>, kDims> levels_;  // ascending
};

}  // namespace slipway::plan
