// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/placement.h"

#include <algorithm>
#include <numeric>

#include "scheduler/plan/spread.h"

namespace slipway::scheduler {
namespace {

struct NodeRange {
  std::uint32_t least, most;
};
NodeRange NodesWanted(const Resources& want) {
  std::uint32_t least = std::max(want.nodes_min, 1U);
  std::uint32_t most = want.nodes_max > 0                      ? want.nodes_max
                       : want.nodes_min > 0 || want.tasks == 0 ? least
                                                               : UINT32_MAX;
  return {least, std::max(least, most)};
}

}  // namespace

plan::Vec CapacityOf(const NodeFacts& facts) {
  plan::Vec vec;
  vec[plan::kCores] = facts.cores;
  vec[plan::kMemory] = static_cast<std::int64_t>(std::min<std::uint64_t>(facts.memory_bytes, INT64_MAX / 4));
  vec[plan::kToken] = plan::kTokens;
  return vec;
}

PlannedRequest RequestOf(const Resources& want, bool uneven) {
  NodeRange range = NodesWanted(want);
  PlannedRequest planned;
  plan::Request& request = planned.request;
  request.task[plan::kCores] = want.cores_per_task;
  request.task[plan::kMemory] = static_cast<std::int64_t>(want.memory_bytes_per_core * want.cores_per_task);
  request.node[plan::kMemory] = static_cast<std::int64_t>(want.memory_bytes_per_node);
  request.node[plan::kToken] = want.exclusive ? plan::kTokens : 1;
  request.nodes_min = range.least;
  request.nodes_max = range.most;
  if (want.tasks == 0) {
    planned.tasks_each = std::max(want.tasks_per_node, 1U);
  } else {
    request.nodes_max = std::min(range.most, want.tasks);
    std::uint32_t each = want.tasks / range.least;
    bool even = range.least == request.nodes_max && want.tasks % range.least == 0;
    if (even && !uneven && (want.tasks_per_node == 0 || each <= want.tasks_per_node))
      planned.tasks_each = each;
  }
  if (planned.tasks_each > 0) {
    request.node += request.task * planned.tasks_each;
    request.task = {};
  } else {
    request.tasks = want.tasks;
    request.tasks_per_node = want.tasks_per_node;
  }
  return planned;
}

NodeAllocation AllotOn(FreeNode& node, const Resources& want, std::uint32_t first_rank, std::uint32_t tasks) {
  NodeAllocation held;
  held.node = node.name;
  held.first_rank = first_rank;
  held.tasks = tasks;
  if (want.exclusive) {
    held.cores = node.cores;
    held.memory_bytes = node.memory_bytes;
  } else {
    held.cores = node.cores.Lowest(tasks * want.cores_per_task);
    held.memory_bytes = want.memory_bytes_per_node + want.memory_bytes_per_core * held.cores.count();
  }
  CHECK(held.memory_bytes <= node.memory_bytes);
  node.cores.Remove(held.cores);
  node.memory_bytes -= held.memory_bytes;
  return held;
}

Result<std::vector<StepNode>> PlaceStep(const Job& job, const Resources& resources) {
  std::vector<StepNode> parts;
  if (resources.nodes_min == 0 && resources.nodes_max == 0 && resources.tasks == 0 &&
      resources.tasks_per_node == 0) {
    for (const NodeAllocation& held : job.nodes) parts.push_back({held.node, held.first_rank, held.tasks});
    return parts;
  }
  if (resources.cores_per_task == 0) return Fail(Code::kInvalidArgument, "a task needs at least one core");
  plan::Counts capacity;
  for (const NodeAllocation& held : job.nodes) {
    std::uint32_t tasks = held.cores.count() / resources.cores_per_task;
    capacity.push_back(resources.tasks_per_node > 0 ? std::min(tasks, resources.tasks_per_node) : tasks);
  }
  NodeRange range = NodesWanted(resources);
  plan::Spread want{resources.tasks, resources.tasks_per_node, range.least, range.most,
                    resources.nodes_min > 0};
  std::optional<plan::Counts> counts = plan::ChooseCounts(want, capacity);
  if (!counts) {
    return Fail(Code::kInvalidArgument, "job ", JobName(job), " holds ", job.nodes.size(),
                " node(s) with room for ", std::accumulate(capacity.begin(), capacity.end(), 0U),
                " tasks of ", resources.cores_per_task, " core(s); the step asks for more");
  }
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < capacity.size(); ++i) {
    if ((*counts)[i] == 0) continue;
    parts.push_back({job.nodes[i].node, rank, (*counts)[i]});
    rank += (*counts)[i];
  }
  return parts;
}

std::vector<std::vector<std::uint32_t>> RankMap(const std::vector<StepNode>& nodes) {
  std::vector<std::vector<std::uint32_t>> map;
  for (const StepNode& node : nodes) {
    std::vector<std::uint32_t>& ranks = map.emplace_back(node.tasks);
    std::ranges::generate(ranks, [rank = node.first_rank]() mutable { return rank++; });
  }
  return map;
}

}  // namespace slipway::scheduler
