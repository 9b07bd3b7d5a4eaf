// SPDX-License-Identifier: Apache-2.0
// What exactly is it that the cluster does not have? Looked at in the order in which people can do something
// about it: the partition, features, then sizes.
#include <algorithm>

#include "scheduler/core/constraint.h"
#include "scheduler/core/node_choice.h"
#include "scheduler/core/placement.h"

namespace slipway::scheduler {
namespace {

template <class... Why>
Failure Never(const Why&... why) {
  return Fail(Code::kFailedPrecondition, why...);
}

// The largest node, and all together, among those that may be used at all.
struct Room {
  std::size_t nodes = 0;
  std::uint64_t cores = 0, memory = 0, gpus = 0, cores_all = 0;
};

Room RoomOf(const State& state, const Site& site, const Resources& r, const Constraint& constraint) {
  const std::vector<const Partition*> partitions = site.PartitionsOf(r.partition);
  const ChosenNodes chosen = ExpandChoice(*r.choice).value_or(ChosenNodes());
  Room room;
  for (const auto& [name, node] : state.nodes) {
    const NodeTraits& traits = site.TraitsOf(name);
    bool in = std::ranges::any_of(
        partitions, [&, &node_name = name](const Partition* one) { return one->Has(node_name); });
    if (!partitions.empty() && !in) continue;
    if (!constraint.every.Holds(traits.features) || chosen.IsExcluded(name)) continue;
    ++room.nodes;
    room.cores = std::max<std::uint64_t>(room.cores, node.facts.cores);
    room.memory = std::max(room.memory, node.facts.memory_bytes);
    room.cores_all += node.facts.cores;
    std::uint64_t gpus = 0;
    if (r.gpu_type.empty() && traits.gpus.size() > 1) continue;  // has to be asked for by type
    for (const Amount& kind : traits.gpus)
      gpus += r.gpu_type.empty() || kind.name == r.gpu_type ? kind.count : 0;
    room.gpus = std::max(room.gpus, gpus);
  }
  return room;
}

}  // namespace

Failure WhyNever(const State& state, const Site& site, const Resources& r) {
  if (state.nodes.empty()) return Never("no node has joined the cluster yet");
  Result<Constraint> constraint = ParseConstraint(r.constraint);
  if (!constraint) return Failure(constraint.error());
  if (auto why = WhyNeverOn(state, site, r)) return Never(*why);
  Room room = RoomOf(state, site, r, *constraint);
  std::string where = r.partition.empty() ? std::string("the cluster") : Cat("partition ", r.partition);
  if (!r.constraint.empty()) where += Cat(" with ", r.constraint);
  if (!r.choice->excluded.empty()) where += " without --exclude's";
  std::string largest = Cat("the largest node", r.partition.empty() && r.constraint.empty() ? "" : " of ",
                            r.partition.empty() && r.constraint.empty() ? "" : where, " has ");
  if (room.nodes == 0) return Never("no node of ", where, " has joined the cluster yet, or there is none");
  if (r.nodes_min > room.nodes)
    return Never(r.nodes_min, " nodes are asked for, ", where, " has ", room.nodes);
  std::uint64_t tasks_each = r.tasks == 0 ? std::max(r.tasks_per_node, 1U) : 1;
  std::uint64_t cores_each = tasks_each * r.cores_per_task;
  if (cores_each > room.cores)
    return Never(cores_each, " cores on a node are asked for, ", largest, room.cores);
  std::uint64_t memory_each = std::max(r.memory_bytes_per_node, r.memory_bytes_per_core * cores_each);
  if (memory_each > room.memory)
    return Never(memory_each, " bytes of memory on a node are asked for, ", largest, room.memory);
  std::uint64_t gpus_each = r.gpus_per_node + r.gpus_per_task * tasks_each;
  if (gpus_each > room.gpus) {
    std::string kind = r.gpu_type.empty() ? std::string("GPUs") : Cat("GPUs of type ", r.gpu_type);
    return Never(gpus_each, " ", kind, " on a node are asked for, no node of ", where, " has more than ",
                 room.gpus);
  }
  for (const Amount& licence : r.licences) {
    auto have = std::ranges::find(site.licences, licence.name, &Amount::name);
    std::uint32_t all = have == site.licences.end() ? 0 : have->count;
    if (licence.count > all)
      return Never(licence.count, " licences ", licence.name, " are asked for, the cluster has ", all);
  }
  std::uint64_t cores_wanted = std::uint64_t{r.tasks} * r.cores_per_task;
  if (cores_wanted > room.cores_all)
    return Never(r.tasks, " tasks of ", r.cores_per_task, " core(s) are asked for, ", where, " has ",
                 room.cores_all, " cores");
  if (r.switches > 0 || r.contiguous)
    return Never("no set of the ", room.nodes, " node(s) of ", where, " meets the request ",
                 r.contiguous ? "without a gap" : Cat("on ", r.switches, " switch(es)"));
  return Never("no set of the ", room.nodes, " node(s) of ", where,
               " meets the request: its nodes, tasks, cores, ",
               "memory and other resources each exist, but not together");
}

}  // namespace slipway::scheduler
