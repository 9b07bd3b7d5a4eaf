// SPDX-License-Identifier: Apache-2.0
#include "scheduler/sim/checks.h"

#include "base/result/result.h"

namespace slipway::scheduler {
namespace {

struct Held {
  CoreSet cores, gpus;
  std::uint64_t memory_bytes = 0;
  std::set<JobId> jobs;
};

}  // namespace

std::optional<std::string> FindWrong(const State& state, const Site& site) {
  std::map<std::string, Held, NodeNameLess> held;
  for (const auto& [id, job] : state.jobs) {
    bool pending = state.pending.count({-job.priority(), id}) > 0;
    bool active = state.active.count(id) > 0, live = state.live.count(id) > 0;
    if (pending != (job.state == JobState::kPending) || active != IsActive(job.state) ||
        live == IsTerminal(job.state)) {
      return Cat("job ", id.value, " is ", JobStateName(job.state), " but indexed otherwise");
    }
    if (!active) continue;
    for (const NodeAllocation& part : job.nodes) {
      if (part.released) continue;
      Held& node = held[part.node];
      if (node.cores.Intersects(part.cores))
        return Cat("a core of ", part.node, " is allotted twice, to job ", id.value, " too");
      if (node.gpus.Intersects(part.gpus))
        return Cat("a GPU of ", part.node, " is allotted twice, to job ", id.value, " too");
      node.cores.Insert(part.cores);
      node.gpus.Insert(part.gpus);
      node.memory_bytes += part.memory_bytes;
      node.jobs.insert(id);
    }
  }
  for (const auto& [name, node] : state.nodes) {
    const Held& here = held[name];
    if (here.cores != node.cores_allotted || here.gpus != node.gpus_allotted ||
        here.memory_bytes != node.memory_allotted_bytes || here.jobs != node.jobs) {
      return Cat("what jobs hold on ", name, " is not what the node says is held");
    }
    if (here.memory_bytes > node.facts.memory_bytes)
      return Cat("more memory is allotted than ", name, " has");
    CoreSet beyond = here.cores;
    beyond.Remove(CoreSet::FirstN(node.facts.cores));
    if (!beyond.empty()) return Cat("cores are allotted that ", name, " does not have");
    CoreSet gpus_beyond = here.gpus;
    gpus_beyond.Remove(CoreSet::FirstN(site.TraitsOf(name).gpu_count()));
    if (!gpus_beyond.empty()) return Cat("GPUs are allotted that ", name, " does not have");
  }
  return std::nullopt;
}

}  // namespace slipway::scheduler
