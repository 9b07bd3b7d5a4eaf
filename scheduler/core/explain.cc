// SPDX-License-Identifier: Apache-2.0
// "Why does my job not start?" deserves all reasons at once, who is ahead, when it will start, and what would
// make it start earlier (why_earlier.cc).
#include <algorithm>

#include "base/result/result.h"
#include "base/text/hostlist.h"
#include "scheduler/core/node_choice.h"
#include "scheduler/core/planning_policy.h"
#include "scheduler/core/request_changes.h"
#include "scheduler/plan/what_if.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kAheadNamed = 10;

std::string_view KindName(DependencyKind kind) {
  switch (kind) {
    case DependencyKind::kAfter:
      return "after";
    case DependencyKind::kAfterAny:
      return "afterany";
    case DependencyKind::kAfterOk:
      return "afterok";
    case DependencyKind::kAfterNotOk:
      return "afternotok";
    case DependencyKind::kAfterCorr:
      return "aftercorr";
    case DependencyKind::kSingleton:
      return "singleton";
  }
  return "?";
}

void AddDependencies(const State& state, const Job& job, Explanation& to) {
  if (job.DependenciesState() == DependencyState::kMet) return;
  for (const JobDependency& dependency : job.dependencies) {
    if (dependency.state == DependencyState::kMet) continue;
    const Job* on = state.FindJob(dependency.what.on);
    std::string name = on != nullptr ? JobName(*on) : ToString(dependency.what.on);
    std::string_view how = on != nullptr ? JobStateName(on->state) : std::string_view("not at its end");
    bool never = dependency.state == DependencyState::kNever;
    to.reasons.push_back(Cat("waits for job ", name, " (", KindName(dependency.what.kind), "), which ",
                             never ? "has ended otherwise: this will never be met" : Cat("is ", how)));
  }
}

}  // namespace

// Those of --nodelist that are away, and those that have too little free.
void PlanningPolicy::AddListedNodes(const State& state, const Job& job, const plan::Request& request,
                                    Explanation& to) {
  const NodeChoice& choice = *job.spec->resources.choice;
  for (const std::string& away : NotAvailable(state, choice))
    to.reasons.push_back(Cat("ReqNodeNotAvail: of --nodelist ", away));
  std::vector<std::string> busy;
  const plan::Vec least = request.tasks == 0 ? request.node : request.node + request.task;
  const ChosenNodes chosen = ExpandChoice(choice).value_or(ChosenNodes());
  for (const std::string& name : chosen.nodes) {
    auto number = NumberFor(job.spec->resources, name);
    if (number && planner_.cluster().Usable(*number) &&
        !planner_.cluster()
             .RoomOver(*number, planner_.cluster().now(), planner_.cluster().now() + 1)
             .Holds(least))
      busy.push_back(name);
  }
  if (!busy.empty())
    to.reasons.push_back(
        Cat("ReqNodeNotAvail: of --nodelist not enough is free on ", CompressHostlist(busy)));
}

void PlanningPolicy::AddReasons(const State& state, const Job& job, Explanation& to) {
  if (job.hold != Hold::kNone)
    to.reasons.emplace_back(PendingReasonText(job.hold == Hold::kUser ? PendingReason::kHeldByUser
                                                                      : PendingReason::kHeldByAdmin));
  AddDependencies(state, job, to);
  if (Obstacle site = SiteObstacle(state, job); site.reason != PendingReason::kNone)
    to.reasons.push_back(site.text);
  if (begins_.contains(job.id) || job.begin > state.now)
    to.reasons.emplace_back(PendingReasonText(PendingReason::kBeginTime));
  const plan::Request& request = RequestFor(job).request;
  if (planner_.Knows(job.id.value)) {
    if (auto limit = planner_.BlockingLimit(job.id.value))
      to.reasons.push_back(limits_.Text(*limit, planner_, request));
  }
  bool licences_short = false;
  for (const Amount& licence : job.spec->resources.licences) {
    auto dim = dims_.OfLicence(licence.name);
    std::int64_t free = dim ? std::max<std::int64_t>(0, planner_.cluster().licences().Now()[*dim]) : 0;
    licences_short = licences_short || free < licence.count;
    if (free < licence.count)
      to.reasons.push_back(Cat("Licenses: needs ", licence.count, " of ", licence.name, ", ", free,
                               free == 1 ? " is free" : " are free"));
  }
  plan::Cluster books = planner_.cluster();  // asked, these find out what later choices go by
  if (books.FitsNow(request, LengthOf(job) + grace())) return;
  AddListedNodes(state, job, request, to);
  if (!books.CouldRun(request, true)) {
    to.reasons.emplace_back(PendingReasonText(PendingReason::kNodesUnavailable));
    return;
  }
  AddReservedNodes(state, job, to);
  if (planner_.Knows(job.id.value)) {
    if (auto bound = planner_.BoundOnPlanning(job.id.value))
      to.reasons.push_back(limits_.BoundText(*bound, planner_));
  }
  std::size_t now = books.CountFit(request, 1), free = books.CountFit(request, LengthOf(job) + grace());
  if (licences_short && request.tasks == 0 && free >= request.nodes_min) return;  // these alone are missing
  std::string needs = request.tasks > 0 ? Plural(request.tasks, "task") : Plural(request.nodes_min, "node");
  to.reasons.push_back(Cat("needs ", needs, " with enough free at once; ",
                           request.tasks > 0 ? "room for " : "", now, request.tasks > 0 ? "" : " such",
                           now == 1 && request.tasks == 0 ? " is" : " are", " free now",
                           free < now ? Cat(", ", free, " of them for as long as it may run") : ""));
}

void PlanningPolicy::AddAhead(const State& state, const Job& job, Time now, Explanation& to) {
  using Place = std::pair<plan::Rank, JobId>;
  auto place_of = [&](const Job& waits) -> Place {
    if (planner_.Knows(waits.id.value)) return {priorities_.RankNow(waits, planner_, now), waits.id};
    PriorityParts parts = priorities_.PartsOf(waits, now);
    return {-parts.sum(), waits.id};  // as long as it is not planned: without its partition's tier
  };
  Place own = place_of(job);
  std::vector<Place> ahead;
  for (const PendingKey& key : state.pending) {
    if (key.job == job.id || !planner_.Knows(key.job.value)) continue;
    Place place = place_of(*state.FindJob(key.job));
    if (place < own) ahead.push_back(place);
  }
  to.ahead = ahead.size();
  auto named = static_cast<std::ptrdiff_t>(std::min(ahead.size(), kAheadNamed));
  std::partial_sort(ahead.begin(), ahead.begin() + named, ahead.end());
  for (auto at = ahead.begin(); at != ahead.begin() + named; ++at) to.first_ahead.push_back(at->second);
}

Explanation PlanningPolicy::Explain(const State& state, JobId id, Time now) {
  Explanation explanation;
  const Job* job = state.FindJob(id);
  if (auto unmade = job == nullptr ? state.FindUnmade(id) : std::nullopt;
      unmade && unmade->state == JobState::kPending) {
    const Array& array = *state.ArrayOf(id);
    explanation.reasons.push_back(Cat("waits behind others of its array: ", array.waiting,
                                      array.waiting == 1 ? " task is" : " tasks are",
                                      " before it in the queue; ask about ", array.id.value, '_',
                                      array.spec->array->indices[array.made - 1]));
    explanation.priority = priorities_.Text(*unmade, now);
  }
  if (job == nullptr || job->state != JobState::kPending) return explanation;
  if (stale_) Rebuild(state);
  AddAhead(state, *job, now, explanation);
  AddReasons(state, *job, explanation);
  if (explanation.ahead > 0) {
    explanation.reasons.push_back(
        Cat(explanation.ahead == 1 ? Cat("1 job is") : Cat(explanation.ahead, " jobs are"),
            " ahead of it by priority or submission"));
  }
  explanation.planned = PlannedStartOf(id);
  if (!explanation.planned && MayRun(*job)) {
    const plan::Request& request = RequestFor(*job).request;
    plan::Instant start = state.ComponentsOf(id).empty()
                              ? planner_.WhenIf(request, LengthOf(*job) + grace()).start
                              : plan::WhatIf(planner_, id.value).StartOf(request, LengthOf(*job));
    if (start < plan::kNever) explanation.not_before = Time{std::max(start, job->begin.us)};
  }
  explanation.earlier = EarlierStarts(state, *job);
  explanation.priority = priorities_.Text(*job, now);
  return explanation;
}

}  // namespace slipway::scheduler
