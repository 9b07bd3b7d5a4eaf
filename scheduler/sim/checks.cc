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

// Whether an array's counts are those of its tasks.
std::optional<std::string> FindWrongArray(const State& state, const Array& array) {
  std::uint32_t kept = 0, waiting = 0, running = 0, ended = 0, not_made = 0;
  for (std::uint32_t task = 0; task < array.tasks; ++task) {
    const Job* job = state.FindJob(array.TaskId(task));
    not_made += array.IsMade(task) ? 0 : 1;
    if (job == nullptr) continue;
    if (!array.IsMade(task))
      return Cat("task ", task, " of array ", array.id.value, " is a job and is not made");
    ++kept;
    waiting += job->state == JobState::kPending ? 1 : 0;
    running += IsActive(job->state) ? 1 : 0;
    ended += IsTerminal(job->state) ? 1 : 0;
  }
  std::uint32_t unmade = array.cancelled ? 0 : not_made;
  if (array.cancelled) ended += not_made;
  bool right =
      kept == array.kept && waiting == array.waiting && running == array.running && ended <= array.ended &&
      unmade == array.unmade() && state.unmade.contains(array.id) == (unmade > 0) &&
      array.ended + waiting + running + unmade == array.tasks && (unmade == 0 || waiting >= array.window);
  if (right) return std::nullopt;
  return Cat("array ", array.id.value, ": ", kept, " kept, ", waiting, " waiting, ", running, " running, ",
             ended, " ended, ", unmade, " to be made, but it says otherwise");
}

// Whether the components of a heterogeneous job run only all at once, since the same instant.
std::optional<std::string> FindWrongWhole(const State& state, JobId leader) {
  const Job* runs = nullptr;
  const std::vector<JobId> whole = state.ComponentsOf(leader);
  auto is_on = [](const Job* job) {
    return job != nullptr && (job->state == JobState::kStarting || job->state == JobState::kRunning);
  };
  for (JobId id : whole) {
    if (is_on(state.FindJob(id))) runs = state.FindJob(id);
  }
  for (JobId id : whole) {
    const Job* job = state.FindJob(id);
    if (runs == nullptr || (is_on(job) && job->attempt == runs->attempt && job->started == runs->started))
      continue;
    return Cat("component ", id.value, " does not run as component ", runs->id.value, " of job ",
               leader.value, " does");
  }
  return std::nullopt;
}

// Whether as many jobs are counted as live, for limits on submissions, as there are.
std::optional<std::string> FindWrongCounts(const State& state) {
  std::map<AssociationKey, std::int64_t> live;
  auto count = [&](const JobSpec& spec, std::int64_t jobs) {
    if (!spec.account.empty()) live[{spec.account, spec.user.uid}] += jobs;
  };
  for (JobId id : state.live) count(*state.jobs.at(id).spec, 1);
  for (JobId id : state.unmade) count(*state.arrays.at(id).spec, state.arrays.at(id).unmade());
  if (live == state.live_by_association) return std::nullopt;
  return std::string("the live jobs of a user are counted wrongly");
}

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
      if (!job.lent_to && node.cores.Intersects(part.cores))
        return Cat("a core of ", part.node, " is allotted twice, to job ", id.value, " too");
      if (node.gpus.Intersects(part.gpus))
        return Cat("a GPU of ", part.node, " is allotted twice, to job ", id.value, " too");
      if (!job.lent_to) node.cores.Insert(part.cores);
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
  for (const auto& [leader, count] : state.hets) {
    if (auto wrong = FindWrongWhole(state, leader)) return wrong;
  }
  for (const auto& [id, array] : state.arrays) {
    if (auto wrong = FindWrongArray(state, array)) return wrong;
  }
  return FindWrongCounts(state);
}

}  // namespace slipway::scheduler
