// SPDX-License-Identifier: Apache-2.0
// What a job waits for is looked at when it is submitted and whenever what it waits for starts or ends: its
// state is kept, so that a job that is forgotten leaves it as it was.
#include "scheduler/core/apply_dependencies.h"

#include <algorithm>

namespace slipway::scheduler {
namespace {

// All earlier jobs of the user and name; of an array whose tasks are not all made, the array.
void AddSingleton(const State& state, Job& job) {
  auto same = [&](const JobSpec& other) {
    return other.name == job.spec->name && other.user.uid == job.spec->user.uid;
  };
  for (JobId id : state.unmade) {
    if (id < job.id && id != job.array && same(*state.arrays.at(id).spec))
      job.dependencies.push_back({{DependencyKind::kAfterAny, id, 0}});
  }
  for (JobId id : state.live) {
    const Job& other = state.jobs.at(id);
    bool counted = state.unmade.contains(other.array);
    if (same(*other.spec) && id < job.id && !counted && (job.array.value == 0 || other.array != job.array))
      job.dependencies.push_back({{DependencyKind::kAfterAny, id, 0}});
  }
}

// Brings a dependency up to date with what it is on; a job that is forgotten leaves it as it was.
void Evaluate(const State& state, Time at, Job& job, JobDependency& dependency) {
  if (dependency.state != DependencyState::kWaiting) return;
  bool started = false, ended = false, ok = false;
  Time since = at;
  if (auto on = state.jobs.find(dependency.what.on); on != state.jobs.end()) {
    ended = IsTerminal(on->second.state);
    started = ended || on->second.attempt > 0;
    ok = on->second.state == JobState::kCompleted;
    if (on->second.attempt > 0) since = on->second.started;
  } else if (auto array = state.arrays.find(dependency.what.on); array != state.arrays.end()) {
    ended = array->second.ended == array->second.tasks;
    started = array->second.ended + array->second.running == array->second.tasks;
    ok = ended && array->second.failed == 0;
  } else if (auto unmade = state.FindUnmade(dependency.what.on); unmade && IsTerminal(unmade->state)) {
    started = ended = true;
  } else {
    return;
  }
  auto met = [&](bool yes) { dependency.state = yes ? DependencyState::kMet : DependencyState::kNever; };
  switch (dependency.what.kind) {
    case DependencyKind::kAfter:
      if (!started) return;
      met(true);
      if (dependency.what.delay_s > 0)
        job.begin = std::max(job.begin, since.PlusSeconds(dependency.what.delay_s));
      return;
    case DependencyKind::kAfterOk:
    case DependencyKind::kAfterCorr:
      if (ended) met(ok);
      return;
    case DependencyKind::kAfterNotOk:
      if (ended) met(!ok);
      return;
    case DependencyKind::kAfterAny:
    case DependencyKind::kSingleton:
      if (ended) met(true);
  }
}

}  // namespace

// Singletons and tasks of an array are turned into the jobs that they mean.
void AddDependency(const State& state, Time at, Job& job, const Dependency& what) {
  if (what.kind == DependencyKind::kSingleton) return AddSingleton(state, job);
  JobDependency dependency{what};
  auto array = state.arrays.find(what.on);
  if (what.kind == DependencyKind::kAfterCorr && array != state.arrays.end()) {
    const std::vector<std::uint32_t>& indices = array->second.spec->array->indices;
    auto place = std::ranges::lower_bound(indices, job.array_task);
    if (place != indices.end() && *place == job.array_task)
      dependency.what.on = {array->second.first_task.value +
                            static_cast<std::uint64_t>(place - indices.begin())};
  }
  Evaluate(state, at, job, dependency);
  job.dependencies.push_back(dependency);
}

// Something of this job has changed that others may wait for.
void Resolve(State& state, Time at, const Job& job) {
  for (JobId on : {job.id, job.array}) ResolveOn(state, at, on);
}

void ResolveOn(State& state, Time at, JobId on) {
  auto dependents = state.dependents.find(on);
  if (dependents == state.dependents.end()) return;
  for (JobId id : dependents->second) {
    auto array = state.arrays.find(id);
    Job& waiting = array != state.arrays.end() ? array->second.pattern : state.jobs.at(id);
    // Where one is enough and was met, the others do not put it off any more.
    if (waiting.DependenciesState() == DependencyState::kMet) continue;
    for (JobDependency& dependency : waiting.dependencies) {
      if (dependency.what.on == on) Evaluate(state, at, waiting, dependency);
    }
    if (waiting.state == JobState::kPending && waiting.DependenciesState() == DependencyState::kMet)
      waiting.eligible = std::max({waiting.eligible, waiting.begin, at});
  }
}

}  // namespace slipway::scheduler
