// SPDX-License-Identifier: Apache-2.0
// What the plan says when it is asked: why a job waits, what was promised, whether a request could ever run,
// and whether the plan's books are the state's.
#include "scheduler/core/node_choice.h"
#include "scheduler/core/planning_policy.h"

namespace slipway::scheduler {

PendingReason PlanningPolicy::ReasonOf(const State& state, JobId id) {
  const Job* job = state.FindJob(id);
  if (job == nullptr || job->state != JobState::kPending) return PendingReason::kNone;
  if (job->hold == Hold::kAdmin) return PendingReason::kHeldByAdmin;
  if (job->hold == Hold::kUser) return PendingReason::kHeldByUser;
  if (job->DependenciesState() == DependencyState::kNever) return PendingReason::kDependencyNever;
  if (job->DependenciesState() == DependencyState::kWaiting) return PendingReason::kDependency;
  if (Obstacle site = SiteObstacle(state, *job); site.reason != PendingReason::kNone) return site.reason;
  if (begins_.contains(id)) return PendingReason::kBeginTime;
  if (WaitsForWindow(state, *job)) return PendingReason::kReservation;
  if (!planner_.Knows(id.value) && state.FollowsLeader(id))
    return ReasonOf(state, state.ComponentsOf(id).front());
  if (stale_ || !planner_.Knows(id.value)) return PendingReason::kNone;
  switch (planner_.WhyWaits(id.value)) {
    case plan::Waits::kPlanned:
      return PendingReason::kResources;
    case plan::Waits::kOthers:
      return PendingReason::kPriority;
    case plan::Waits::kLimit:
      return PendingReason::kLimit;
    case plan::Waits::kNever:
      return PendingReason::kNodesUnavailable;
  }
  return PendingReason::kNone;
}

std::string PlanningPolicy::ReasonText(const State& state, JobId id) {
  PendingReason reason = ReasonOf(state, id);
  if (reason == PendingReason::kLimit) {
    const plan::Request& request = RequestFor(*state.FindJob(id)).request;
    if (auto limit = planner_.BlockingLimit(id.value)) return limits_.Text(*limit, planner_, request);
  }
  if (reason == PendingReason::kNodesUnavailable) {
    const std::vector<std::string> away = NotAvailable(state, *state.FindJob(id)->spec->resources.choice);
    if (!away.empty()) return Cat("ReqNodeNotAvail: of --nodelist ", away.front());
  }
  if (reason != PendingReason::kNone) {
    if (Obstacle site = SiteObstacle(state, *state.FindJob(id)); site.reason == reason) return site.text;
  }
  return std::string(PendingReasonText(reason));
}

std::optional<PlannedStart> PlanningPolicy::PlannedStartOf(JobId job) const {
  auto promise = planner_.PromiseOf(job.value);
  if (!promise) return std::nullopt;
  return ToPlannedStart(*promise);
}

PlannedStart PlanningPolicy::ToPlannedStart(const plan::Planner::Promise& promise) const {
  PlannedStart planned{{promise.start}, {}};
  for (const plan::NodeShare& share : *promise.nodes)
    planned.nodes.push_back({names_[share.node], share.tasks});
  return planned;
}

std::vector<std::pair<JobId, PlannedStart>> PlanningPolicy::PlannedStarts() const {
  std::vector<std::pair<JobId, PlannedStart>> all;
  for (const plan::Planner::Promise& promise : planner_.Promises())
    all.emplace_back(JobId{promise.job}, ToPlannedStart(promise));
  return all;
}

Result<> PlanningPolicy::CheckFits(const State& state, const JobSpec& spec) {
  Refresh(state);
  PlannedRequest& planned = RequestFor(spec.resources);
  if (planned.could_run < 0) planned.could_run = planner_.cluster().CouldRun(planned.request, false) ? 1 : 0;
  if (planned.could_run == 0) return WhyNever(state, *site_, spec.resources);
  return {};
}

std::optional<PlannedStart> PlanningPolicy::WhenWould(const State& state, const JobSpec& spec) {
  Refresh(state);
  Job alone;
  alone.time_limit_s = spec.time_limit_s;
  plan::Planned planned = planner_.WhenIf(RequestFor(spec.resources).request, LengthOf(alone) + grace());
  if (planned.start >= plan::kNever) return std::nullopt;
  return ToPlannedStart({0, std::max(planned.start, spec.begin.us), &planned.nodes});
}

std::optional<std::string> PlanningPolicy::FindWrong(const State& state) const {
  if (stale_ || reservations_stale_) return std::nullopt;
  for (const auto& entry : state.nodes) {
    const auto& name = entry.first;  // clang 14 lets no lambda use a structured binding
    const auto& node = entry.second;
    std::optional<std::string> wrong;
    planner_.cluster().EachView(numbers_.at(name), [&](plan::NodeNumber view) {
      const plan::Vec& free = planner_.cluster().Free(view);
      bool exclusive = free[plan::kToken] <= 0;
      if (!exclusive && (free[plan::kCores] > node.cores_free.count() ||
                         free[plan::kMemory] > static_cast<std::int64_t>(node.memory_free_bytes)))
        wrong = Cat("the plan has ", free[plan::kCores], " cores free on ", name, ", the state ",
                    node.cores_free.count());
    });
    if (wrong) return wrong;
  }
  for (const PendingKey& key : state.pending) {
    JobId id = key.job;
    const std::vector<JobId> whole = state.ComponentsOf(id);
    bool begins = begins_.contains(whole.empty() ? id : whole.front());
    if (WholeMayBePlanned(state, *state.FindJob(id)) && !planner_.Knows(id.value) && !begins)
      return Cat("job ", id.value, " waits but the plan does not know it");
  }
  return std::nullopt;
}

}  // namespace slipway::scheduler
