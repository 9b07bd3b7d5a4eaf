// SPDX-License-Identifier: Apache-2.0
// Between what users ask for and what the planner knows: a request as vectors, a node as a vector, and a
// placement as cores by number. Steps inside a job are laid out here too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/core/job_spec.h"
#include "scheduler/core/state.h"
#include "scheduler/plan/request.h"

namespace slipway::scheduler {

plan::Vec CapacityOf(const NodeFacts& facts);

// Resources as the planner sees them. `tasks_each`: what each node gets where the request is one of equal
// nodes; 0: the planner decides.
struct PlannedRequest {
  plan::Request request;
  std::uint32_t tasks_each = 0;
  int could_run = -1;  // on all known nodes: 0 or 1 once somebody asked
};
// The same on each node, where that is what is asked for; else (or with `uneven`) tasks over any nodes.
PlannedRequest RequestOf(const Resources& resources, bool uneven = false);

// What is free on a node while several jobs are allotted in one go.
struct FreeNode {
  std::string name;
  CoreSet cores;
  std::uint64_t memory_bytes = 0;
};
// Takes what the job holds on a node that has room for it: the lowest free cores.
NodeAllocation AllotOn(FreeNode& node, const Resources& resources, std::uint32_t first_rank,
                       std::uint32_t tasks);

// Tasks of a further step over the nodes of its job (nodes in rank order). kInvalidArgument, with the reason,
// when the allocation is too small. Steps of a job share its resources: what other steps use does not count.
Result<std::vector<StepNode>> PlaceStep(const Job& job, const Resources& resources);

// ranks[i]: the global ranks on nodes[i].
std::vector<std::vector<std::uint32_t>> RankMap(const std::vector<StepNode>& nodes);

// Whether a job may be submitted at all. Refused with the reason: uid 0, nothing to run, contradictory or
// absurd requests (kInvalidArgument).
Result<> CheckSubmit(const JobSpec& spec);
// Whether what it is to wait for is known.
Result<> CheckDependencies(const State& state, const JobSpec& spec);
// Why no set of the known nodes meets the request (kFailedPrecondition).
Failure WhyNever(const State& state, const Resources& resources);

}  // namespace slipway::scheduler
