// SPDX-License-Identifier: Apache-2.0
// Tasks of an array become jobs in their turn; the others are numbers.
#include "scheduler/core/applier.h"
#include "scheduler/core/apply_dependencies.h"
#include "scheduler/core/derived.h"

namespace slipway::scheduler {

void Applier::operator()(const ArrayTaskMade& e) {
  Array* array = FindArray(e.array);
  if (array == nullptr || array->cancelled || e.task >= array->tasks || array->IsMade(e.task)) return;
  array->made_early.insert(e.task);
  MakeTask(*array, e.task);
  SkipMade(*array);
  IndexUnmade(state_, *array);
}

void Applier::operator()(const ArrayCancelled& e) {
  Array* array = FindArray(e.array);
  if (array == nullptr || array->unmade() == 0) return;
  std::uint32_t count = array->unmade();
  CountLive(state_, *array->spec, -std::int64_t{count});
  array->ended += count;
  array->failed += count;
  array->cancelled = e.uid;
  array->pattern.ended = at_;
  IndexUnmade(state_, *array);
  ResolveOn(state_, at_, array->id);
  for (auto at = state_.dependents.lower_bound(array->TaskId(array->made));
       at != state_.dependents.end() && at->first < array->TaskId(array->tasks); ++at)
    ResolveOn(state_, at_, at->first);
}

void Applier::AddArray(JobId id, const std::shared_ptr<const JobSpec>& spec, std::uint32_t window) {
  Array& array = state_.arrays[id];
  array.id = id;
  array.spec = spec;
  array.first_task = {id.value + 1};
  array.tasks = static_cast<std::uint32_t>(spec->array->indices.size());
  array.window = window;
  state_.next_job = array.TaskId(array.tasks);
  if (window == 0) {
    array.made = array.kept = array.tasks;
    for (std::uint32_t task = 0; task < array.tasks; ++task)
      AddJob(array.TaskId(task), spec, id, spec->array->indices[task]);
    return;
  }
  Describe(array.pattern, id, spec, id);
  for (const Dependency& dependency : spec->dependencies)
    AddDependency(state_, at_, array.pattern, dependency);
  CountLive(state_, *spec, array.tasks);
  MakeNext(id);
}

void Applier::MakeTask(Array& array, std::uint32_t task) {
  Job& job = state_.jobs[array.TaskId(task)];
  job = array.pattern;
  job.id = array.TaskId(task);
  job.array_task = array.spec->array->indices[task];
  CountLive(state_, *array.spec, -1);  // Index counts it
  Index(state_, job);
  ++array.kept;
}

void Applier::SkipMade(Array& array) {
  while (array.made_early.erase(array.made) > 0) ++array.made;
}

void Applier::MakeNext(JobId id) {
  Array* array = FindArray(id);
  if (array == nullptr || array->window == 0) return;
  while (array->unmade() > 0 && array->waiting < array->window) {
    MakeTask(*array, array->made++);
    SkipMade(*array);
  }
  IndexUnmade(state_, *array);
}

}  // namespace slipway::scheduler
