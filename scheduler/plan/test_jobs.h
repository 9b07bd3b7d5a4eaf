// SPDX-License-Identifier: Apache-2.0
// Requests and answers of the planner in few words, for its tests.
#pragma once

#include <algorithm>
#include <vector>

#include "scheduler/plan/planner.h"

namespace slipway::plan {

inline Vec Of(std::int64_t cores, std::int64_t memory = 0, std::int64_t gpus = 0, std::int64_t tokens = 0) {
  Vec vec;
  vec[kCores] = cores;
  vec[kMemory] = memory;
  vec[kGpus] = gpus;
  vec[kToken] = tokens;
  return vec;
}

inline PlanJob JobOf(JobNumber id, Instant length, Vec node, std::uint32_t nodes = 1,
                     std::int64_t priority = 0) {
  PlanJob job;
  job.facts = {id, 0, length, node[kCores] * nodes, priority};
  job.request.node = node;
  job.request.nodes_min = job.request.nodes_max = nodes;
  return job;
}

inline std::vector<JobNumber> Started(const std::vector<PlanStart>& starts) {
  std::vector<JobNumber> jobs;
  for (const PlanStart& start : starts) jobs.push_back(start.job);
  return jobs;
}

// A cluster that lives: jobs come, run for less than they asked for, and end.

}  // namespace slipway::plan
