// SPDX-License-Identifier: Apache-2.0
// Two questions kept apart: how many tasks may each node take (Capacity), and how many does it get
// (ChooseCounts). The second knows nothing of nodes, so a job in the cluster and a step in its job are placed
// by the same code.
#include "scheduler/core/placement.h"

#include <algorithm>
#include <numeric>

namespace slipway::scheduler {
namespace {

using Counts = std::vector<std::uint32_t>;  // tasks by node; 0: not used

std::uint32_t Capacity(const Resources& want, const FreeNode& free) {
  if (want.exclusive && !free.whole) return 0;
  std::uint64_t tasks = free.cores.count() / want.cores_per_task;
  if (want.memory_bytes_per_node > free.memory_bytes) return 0;
  if (want.memory_bytes_per_core > 0) {
    tasks = std::min(tasks, free.memory_bytes / (want.memory_bytes_per_core * want.cores_per_task));
  }
  if (want.tasks_per_node > 0) tasks = std::min<std::uint64_t>(tasks, want.tasks_per_node);
  return static_cast<std::uint32_t>(tasks);
}

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

// The first nodes that can take `each` tasks, at least `range.least` and at most `range.most` of them.
std::optional<Counts> FirstWith(std::uint32_t each, NodeRange range, const Counts& capacity) {
  Counts counts(capacity.size(), 0);
  std::uint32_t found = 0;
  for (std::size_t i = 0; i < capacity.size() && found < range.most; ++i) {
    if (capacity[i] < each) continue;
    counts[i] = each;
    ++found;
  }
  if (found < range.least) return std::nullopt;
  return counts;
}

// Gives `tasks` to the nodes marked (count > 0 allowed by `limit`), evenly; the first ones get what does not
// divide.
void SpreadEvenly(std::uint32_t tasks, const Counts& limit, Counts& counts) {
  while (tasks > 0) {
    std::uint32_t open = 0;
    for (std::size_t i = 0; i < limit.size(); ++i) open += counts[i] < limit[i] ? 1 : 0;
    CHECK(open > 0);
    std::uint32_t share = std::max(1U, tasks / open);
    for (std::size_t i = 0; i < limit.size() && tasks > 0; ++i) {
      std::uint32_t more = std::min({share, limit[i] - counts[i], tasks});
      counts[i] += more;
      tasks -= more;
    }
  }
}

void FillInOrder(std::uint32_t tasks, const Counts& limit, Counts& counts) {
  for (std::size_t i = 0; i < limit.size(); ++i) {
    counts[i] = std::min(limit[i], tasks);
    tasks -= counts[i];
  }
}

// `want.tasks` tasks over as few nodes of the range as hold them, the emptiest first (which is exact: if
// these do not hold the tasks, no others of that number do).
std::optional<Counts> Flexible(const Resources& want, NodeRange range, const Counts& capacity) {
  if (range.least == 1) {
    if (auto one = FirstWith(want.tasks, {1, 1}, capacity)) return one;
  }
  std::vector<std::size_t> order(capacity.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t i) { return capacity[i] == 0; });
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) { return capacity[i]; });
  std::uint64_t room = 0;
  std::uint32_t used = 0;
  Counts limit(capacity.size(), 0);
  while (used < order.size() && used < range.most && (used < range.least || room < want.tasks)) {
    limit[order[used]] = capacity[order[used]];
    room += capacity[order[used++]];
  }
  if (used < range.least || room < want.tasks) return std::nullopt;
  Counts counts(capacity.size(), 0);
  if (want.nodes_min > 0) {
    SpreadEvenly(want.tasks, limit, counts);
  } else {
    FillInOrder(want.tasks, limit, counts);
  }
  return counts;
}

std::optional<Counts> ChooseCounts(const Resources& want, const Counts& capacity) {
  NodeRange range = NodesWanted(want);
  if (want.tasks == 0) return FirstWith(std::max(want.tasks_per_node, 1U), range, capacity);
  if (want.tasks < range.least) return std::nullopt;
  range.most = std::min(range.most, want.tasks);  // one task at least on each
  if (range.least == range.most && want.tasks % range.least == 0) {
    // The same on each: the first nodes that can, rather than the emptiest.
    if (auto even = FirstWith(want.tasks / range.least, range, capacity)) return even;
  }
  return Flexible(want, range, capacity);
}

NodeAllocation Allocate(const Resources& want, const FreeNode& free, std::uint32_t first_rank,
                        std::uint32_t tasks) {
  NodeAllocation held;
  held.node = free.node->name;
  held.first_rank = first_rank;
  held.tasks = tasks;
  if (want.exclusive) {
    held.cores = free.cores;
    held.memory_bytes = free.memory_bytes;
    return held;
  }
  held.cores = free.cores.Lowest(tasks * want.cores_per_task);
  held.memory_bytes = want.memory_bytes_per_node + want.memory_bytes_per_core * held.cores.count();
  return held;
}

}  // namespace

std::vector<FreeNode> FreeNodes(const State& state) {
  std::vector<FreeNode> nodes;
  for (const auto& [name, node] : state.nodes) {
    if (node.usable()) nodes.push_back({&node, node.cores_free, node.memory_free_bytes, node.jobs.empty()});
  }
  return nodes;
}

std::vector<FreeNode> EmptyNodes(const State& state) {
  std::vector<FreeNode> nodes;
  for (const auto& [name, node] : state.nodes) {
    nodes.push_back({&node, CoreSet::FirstN(node.facts.cores), node.facts.memory_bytes, true});
  }
  return nodes;
}

std::optional<std::vector<NodeAllocation>> Place(const Resources& resources,
                                                 const std::vector<FreeNode>& nodes) {
  Counts capacity;
  capacity.reserve(nodes.size());
  for (const FreeNode& free : nodes) capacity.push_back(Capacity(resources, free));
  std::optional<Counts> counts = ChooseCounts(resources, capacity);
  if (!counts) return std::nullopt;
  std::vector<NodeAllocation> allocation;
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if ((*counts)[i] == 0) continue;
    allocation.push_back(Allocate(resources, nodes[i], rank, (*counts)[i]));
    rank += (*counts)[i];
  }
  return allocation;
}

void Take(const std::vector<NodeAllocation>& allocation, std::vector<FreeNode>& nodes) {
  auto node = nodes.begin();  // both are in node order
  for (const NodeAllocation& held : allocation) {
    while (node != nodes.end() && node->node->name != held.node) ++node;
    CHECK(node != nodes.end());
    node->cores.Remove(held.cores);
    node->memory_bytes -= std::min(node->memory_bytes, held.memory_bytes);
    node->whole = false;
  }
}

Result<std::vector<StepNode>> PlaceStep(const Job& job, const Resources& resources) {
  std::vector<StepNode> parts;
  if (resources.nodes_min == 0 && resources.nodes_max == 0 && resources.tasks == 0 &&
      resources.tasks_per_node == 0) {
    for (const NodeAllocation& held : job.nodes) parts.push_back({held.node, held.first_rank, held.tasks});
    return parts;
  }
  if (resources.cores_per_task == 0) return Fail(Code::kInvalidArgument, "a task needs at least one core");
  Counts capacity;
  for (const NodeAllocation& held : job.nodes) {
    std::uint32_t tasks = held.cores.count() / resources.cores_per_task;
    capacity.push_back(resources.tasks_per_node > 0 ? std::min(tasks, resources.tasks_per_node) : tasks);
  }
  std::optional<Counts> counts = ChooseCounts(resources, capacity);
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
