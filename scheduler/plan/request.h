// SPDX-License-Identifier: Apache-2.0
// What a job asks for, as the planner sees it. Jobs with equal requests are one shape: what is found out
// about one of them holds for all.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "scheduler/plan/node_bits.h"
#include "scheduler/plan/seldom_vec.h"
#include "scheduler/plan/vec.h"

namespace slipway::plan {

// How tasks are spread over nodes, where the request leaves it open.
enum class Spreading : std::uint32_t { kFew, kMany, kFill };

// Without `tasks`: nodes_min … nodes_max nodes, each with `node`. With `tasks`: that many tasks of `task`
// each on nodes that also give `node` once, one at least and at most tasks_per_node (0: any number) on each.
struct Request {
  std::uint32_t where = 0;  // the set of nodes that may be used: Cluster::SetOf
  // What the nodes must be together: Cluster::PatternOf; 0: nothing. `where` then has all nodes that may take
  // part. With counts the request has no `tasks`.
  std::uint32_t pattern = 0;
  // With `tasks`: evenly over a given number of nodes, else over few; over as many as there are; or one node
  // after another.
  Spreading spreading = Spreading::kFew;
  Vec node;
  SeldomVec task;
  std::uint32_t nodes_min = 1, nodes_max = 1;
  std::uint32_t tasks = 0, tasks_per_node = 0;
  SeldomVec licences;  // of the whole cluster, in the dimensions that the caller gives them
  auto operator<=>(const Request&) const = default;
};

struct NodeShare {
  NodeNumber node = 0;
  std::uint32_t tasks = 0;  // 0: the request has no tasks of its own
  auto operator<=>(const NodeShare&) const = default;
};
using Placement = std::vector<NodeShare>;  // ascending by node

// What the placement takes on one of its nodes.
inline Vec TakenOn(const Request& request, const NodeShare& share) {
  return request.tasks == 0 ? request.node : request.node + *request.task * share.tasks;
}

}  // namespace slipway::plan
