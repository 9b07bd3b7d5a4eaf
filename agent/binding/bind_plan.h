// SPDX-License-Identifier: Apache-2.0
// Which processors each rank of a node gets: computed once, before anything runs, so that it can be shown,
// and set by each rank before its exec.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/binding/topology.h"
#include "launcher/spec/task_binding.h"

namespace slipway {

struct BindPlan {
  // By rank of this node; empty: as the step has them. Ascending, never empty inside.
  std::vector<std::vector<std::uint32_t>> cpus;
  std::string what;  // "cores", "sockets", …; "none"
};

// `allowed`: the step's processors here, empty: all of the topology. `ranks` of this node, `cores_each` cores
// (with threads: hardware threads) for each. kInvalidArgument: a list that names a processor which is not the
// step's, naming it.
Result<BindPlan> PlanBinding(const Topology& topology, const std::vector<std::uint32_t>& allowed,
                             std::size_t ranks, std::uint32_t cores_each, const BindRequest& request);

// "cores 0:0-1 1:2-3", by rank of the node; cut with "…" at about 900 bytes.
std::string DescribeBinding(const BindPlan& plan);

}  // namespace slipway
