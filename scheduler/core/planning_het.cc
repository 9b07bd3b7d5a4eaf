// SPDX-License-Identifier: Apache-2.0
// Heterogeneous jobs in the plan: their components are one gang of the planner, in the leader's place. As
// long as one of them may not be planned, or has not been cleared after an attempt, none is.
#include <algorithm>

#include "scheduler/core/planning_policy.h"

namespace slipway::scheduler {

bool PlanningPolicy::WholeMayBePlanned(const State& state, const Job& job) const {
  const std::vector<JobId> whole = state.ComponentsOf(job.id);
  if (whole.empty()) return MayBePlanned(state, job);
  return std::ranges::all_of(whole, [&](JobId id) {
    const Job* one = state.FindJob(id);
    return one != nullptr && one->state == JobState::kPending && MayBePlanned(state, *one);
  });
}

void PlanningPolicy::SyncWhole(const State& state, const std::vector<JobId>& components) {
  const JobId leader = components.front();
  preemptors_.erase(leader);
  if (auto waits = begins_.find(leader); waits != begins_.end()) {
    not_yet_.erase({waits->second, leader});
    begins_.erase(waits);
  }
  const Job* first = state.FindJob(leader);
  if (first == nullptr || !WholeMayBePlanned(state, *first)) return;
  for (JobId id : components) planner_.Remove(id.value);
  if (first->begin.us > planner_.cluster().now()) {
    not_yet_.insert({first->begin, leader});
    begins_[leader] = first->begin;
    return;
  }
  std::vector<plan::PlanJob> jobs;
  for (JobId id : components) jobs.push_back(PlanJobOf(state, *state.FindJob(id)));
  for (std::size_t i = 1; i < jobs.size(); ++i) jobs[0].facts.processors += jobs[i].facts.processors;
  planner_.AddGang(jobs);
  if (CanPreempt(*first->spec)) preemptors_.insert(leader);
}

Result<> PlanningPolicy::CheckFitTogether(const State& state, const std::vector<JobSpec>& components) {
  Refresh(state);
  std::vector<plan::PlanJob> jobs;
  for (const JobSpec& spec : components) {
    plan::PlanJob& job = jobs.emplace_back();
    job.request = RequestFor(spec.resources).request;
    Job alone;
    alone.time_limit_s = spec.time_limit_s;
    job.facts.length = LengthOf(alone);
  }
  if (planner_.CouldRunTogether(jobs)) return {};
  return Fail(
      Code::kFailedPrecondition,
      "the components of this heterogeneous job fit one by one, but never all at once, as far as a search "
      "of the empty cluster finds; ask for less");
}

}  // namespace slipway::scheduler
