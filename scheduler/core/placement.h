// SPDX-License-Identifier: Apache-2.0
// Does a request fit on these nodes, and which task goes where? Used by policies with what is free, and at
// submission with whole nodes: what does not even fit an empty cluster is refused with the reason.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/core/job_spec.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

// A node as placement sees it; a pass over the queue works on copies.
struct FreeNode {
  const Node* node = nullptr;
  CoreSet cores;
  std::uint64_t memory_bytes = 0;
  bool whole = false;  // nothing is allotted: needed for exclusive requests
};
// All nodes in order with what is free, usable ones only; or all nodes, as if empty.
std::vector<FreeNode> FreeNodes(const State& state);
std::vector<FreeNode> EmptyNodes(const State& state);

// First fit in node order when every node gets the same; otherwise a node that holds all the tasks, else the
// emptiest nodes first. Nothing when it does not fit. Does not change `nodes`.
std::optional<std::vector<NodeAllocation>> Place(const Resources& resources,
                                                 const std::vector<FreeNode>& nodes);
// Takes an allocation off the free nodes.
void Take(const std::vector<NodeAllocation>& allocation, std::vector<FreeNode>& nodes);

// Tasks of a further step over the nodes of its job (nodes in rank order). kInvalidArgument, with the reason,
// when the allocation is too small. Steps of a job share its resources: what other steps use does not count.
Result<std::vector<StepNode>> PlaceStep(const Job& job, const Resources& resources);

// ranks[i]: the global ranks on nodes[i].
std::vector<std::vector<std::uint32_t>> RankMap(const std::vector<StepNode>& nodes);

// Whether a job may be submitted. Refused with the reason: uid 0, nothing to run, contradictory or absurd
// requests (kInvalidArgument), what can never run on the nodes that are known (kFailedPrecondition).
Result<> CheckSubmit(const State& state, const JobSpec& spec);

}  // namespace slipway::scheduler
