// SPDX-License-Identifier: Apache-2.0
// The derived parts of a State are kept in two places, Apply and DecodeState; these are the steps they share.
// Private to the core.
#pragma once

#include <algorithm>

#include "scheduler/core/state.h"

namespace slipway::scheduler {

inline void RefreshFree(Node& node) {
  node.cores_free = CoreSet::FirstN(node.facts.cores);
  node.cores_free.Remove(node.cores_allotted);
  node.memory_free_bytes =
      node.facts.memory_bytes - std::min(node.facts.memory_bytes, node.memory_allotted_bytes);
}

// `with_cores` false: they are lent to another job.
inline void Allot(Node& node, JobId job, const NodeAllocation& held, bool with_cores = true) {
  CHECK(!with_cores || !node.cores_allotted.Intersects(held.cores));
  CHECK(!node.gpus_allotted.Intersects(held.gpus));
  if (with_cores) node.cores_allotted.Insert(held.cores);
  node.gpus_allotted.Insert(held.gpus);
  node.memory_allotted_bytes += held.memory_bytes;
  node.jobs.insert(job);
  RefreshFree(node);
}

inline void Release(Node& node, JobId job, const NodeAllocation& held, bool with_cores = true) {
  CHECK(node.memory_allotted_bytes >= held.memory_bytes);
  if (with_cores) node.cores_allotted.Remove(held.cores);
  node.gpus_allotted.Remove(held.gpus);
  node.memory_allotted_bytes -= held.memory_bytes;
  node.jobs.erase(job);
  RefreshFree(node);
}

// Keeps the counts of live jobs.
inline void CountLive(State& state, const JobSpec& spec, std::int64_t change) {
  if (change == 0) return;
  auto count = [change](auto& map, auto key) {
    auto [place, added] = map.try_emplace(std::move(key), 0);
    place->second += change;
    if (place->second == 0) map.erase(place);
  };
  if (!spec.account.empty()) count(state.live_by_association, AssociationKey{spec.account, spec.user.uid});
  if (!spec.qos.empty() || !spec.resources.partition.empty())
    count(state.live_by_qos, QosUser{spec.qos, spec.resources.partition, spec.user.uid});
}

inline void CountWaiting(State& state, const Job& job, int change) {
  if (job.array.value == 0) return;
  auto array = state.arrays.find(job.array);
  if (array != state.arrays.end()) array->second.waiting += static_cast<std::uint32_t>(change);
}

inline void Unqueue(State& state, const Job& job) {
  if (state.pending.erase({-job.priority(), job.id}) > 0) CountWaiting(state, job, -1);
}

// Brings the indexes up to date with how many tasks of the array are to be made.
inline void IndexUnmade(State& state, const Array& array) {
  if (array.unmade() > 0) {
    state.unmade.insert(array.id);
    for (const JobDependency& dependency : array.pattern.dependencies)
      state.dependents[dependency.what.on].insert(array.id);
  } else if (state.unmade.erase(array.id) > 0) {
    for (const JobDependency& dependency : array.pattern.dependencies) {
      auto dependents = state.dependents.find(dependency.what.on);
      if (dependents != state.dependents.end()) dependents->second.erase(array.id);
    }
  }
}

// Puts a job that has just come to be (or was read) into the indexes its state asks for.
inline void Index(State& state, const Job& job) {
  if (job.state == JobState::kPending && state.pending.insert({-job.priority(), job.id}).second)
    CountWaiting(state, job, +1);
  if (IsActive(job.state)) state.active.insert(job.id);
  if (IsActive(job.state) && job.lent_to) state.lenders.insert(job.id);
  if (IsTerminal(job.state)) return;
  if (state.live.insert(job.id).second) CountLive(state, *job.spec, +1);
  for (const JobDependency& dependency : job.dependencies)
    state.dependents[dependency.what.on].insert(job.id);
}

// What of a specification may be changed later.
inline void TakeFromSpec(Job& job, const JobSpec& spec) {
  job.hold = spec.hold ? Hold::kUser : Hold::kNone;
  job.base_priority = spec.priority;
  job.nice = spec.nice;
  job.time_limit_s = spec.time_limit_s;
  job.begin = spec.begin;
}

// The primary step's command lives in the job's specification.
inline std::shared_ptr<const Command> PrimaryCommand(const Job& job) {
  return std::shared_ptr<const Command>(job.spec, &job.spec->command);
}

}  // namespace slipway::scheduler
