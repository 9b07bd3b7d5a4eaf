// SPDX-License-Identifier: Apache-2.0
// "Why does my job not start?" deserves all reasons at once, who is ahead, when it will start, and what would
// make it start now. The suggestions are tried on the plan, not guessed.
#include <algorithm>

#include "base/result/result.h"
#include "base/text/hostlist.h"
#include "scheduler/core/node_choice.h"
#include "scheduler/core/planning_policy.h"

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

std::string Plural(std::uint64_t n, std::string_view what) { return Cat(n, ' ', what, n == 1 ? "" : "s"); }

std::string Minutes(plan::Instant length) {
  std::int64_t seconds = length / kSecond;
  return seconds % 60 == 0 ? Plural(static_cast<std::uint64_t>(seconds / 60), "minute")
                           : Plural(static_cast<std::uint64_t>(seconds), "second");
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
  if (planner_.cluster().FitsNow(request, LengthOf(job) + grace())) return;
  AddListedNodes(state, job, request, to);
  if (!planner_.cluster().CouldRun(request, true)) {
    to.reasons.emplace_back(PendingReasonText(PendingReason::kNodesUnavailable));
    return;
  }
  AddReservedNodes(state, job, to);
  if (planner_.Knows(job.id.value)) {
    if (auto bound = planner_.BoundOnPlanning(job.id.value))
      to.reasons.push_back(limits_.BoundText(*bound, planner_));
  }
  std::size_t now = planner_.cluster().CountFit(request, 1),
              free = planner_.cluster().CountFit(request, LengthOf(job) + grace());
  if (licences_short && request.tasks == 0 && free >= request.nodes_min) return;  // these alone are missing
  std::string needs = request.tasks > 0 ? Plural(request.tasks, "task") : Plural(request.nodes_min, "node");
  to.reasons.push_back(Cat("needs ", needs, " with enough free at once; ",
                           request.tasks > 0 ? "room for " : "", now, request.tasks > 0 ? "" : " such",
                           now == 1 && request.tasks == 0 ? " is" : " are", " free now",
                           free < now ? Cat(", ", free, " of them for as long as it may run") : ""));
}

// Each change by itself, the smallest first.
void PlanningPolicy::AddSuggestions(const Job& job, Explanation& to) {
  plan::Cluster& cluster = planner_.cluster();
  const Resources& asked = job.spec->resources;
  const plan::Request& request = RequestFor(asked).request;
  auto fits = [&](const Resources& changed, plan::Instant length) {
    return cluster.FitsNow(PlanRequest(changed).request, length + grace());
  };
  if (cluster.FitsNow(request, kSecond + grace())) {  // a shorter limit would do
    std::int64_t low = 1, high = LengthOf(job) / kSecond;
    while (low + 1 < high) {
      std::int64_t middle = low + (high - low) / 2;
      (cluster.FitsNow(request, middle * kSecond + grace()) ? low : high) = middle;
    }
    if (low >= 120) low -= low % 60;
    to.suggestions.push_back(Cat("with a time limit of ", Minutes(low * kSecond), " it would fit now"));
  }
  if (asked.exclusive) {
    Resources changed = asked;
    changed.exclusive = false;
    if (fits(changed, LengthOf(job))) to.suggestions.emplace_back("without --exclusive it would fit now");
  }
  for (bool listed : {true, false}) {
    Resources changed = asked;
    NodeChoice choice = *asked.choice;
    std::string& list = listed ? choice.nodes : choice.excluded;
    if (std::exchange(list, {}).empty()) continue;
    changed.choice.Set(std::move(choice));
    if (fits(changed, LengthOf(job)))
      to.suggestions.push_back(Cat("without ", listed ? "--nodelist" : "--exclude", " it would fit now"));
  }
  if (asked.memory_bytes_per_node > 0 || asked.memory_bytes_per_core > 0) {
    Resources changed = asked;
    changed.memory_bytes_per_node /= 2;
    changed.memory_bytes_per_core /= 2;
    if (fits(changed, LengthOf(job))) to.suggestions.emplace_back("with half the memory it would fit now");
  }
  auto fewer = [&](std::uint32_t Resources::*what, std::string_view name) {
    if (asked.*what < 2) return;
    std::uint32_t low = 0, high = asked.*what;
    while (low + 1 < high) {
      std::uint32_t middle = low + (high - low) / 2;
      Resources changed = asked;
      changed.*what = middle;
      if (what == &Resources::nodes_min) changed.nodes_max = 0;
      (fits(changed, LengthOf(job)) ? low : high) = middle;
    }
    if (low > 0)
      to.suggestions.push_back(
          Cat("with ", Plural(low, name), " instead of ", asked.*what, " it would fit now"));
  };
  if (asked.tasks == 0 || asked.tasks % std::max(asked.nodes_min, 1U) != 0)
    fewer(&Resources::nodes_min, "node");
  if (asked.nodes_min < 2) fewer(&Resources::tasks, "task");
}

void PlanningPolicy::AddAhead(const State& state, const Job& job, Time now, Explanation& to) {
  using Place = std::pair<plan::Rank, JobId>;
  auto place_of = [&](const Job& waits) -> Place {
    if (planner_.Knows(waits.id.value)) return {planner_.RankOf(waits.id.value), waits.id};
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
  priorities_.Update(state, planner_, now);
  AddAhead(state, *job, now, explanation);
  AddReasons(state, *job, explanation);
  if (explanation.ahead > 0) {
    explanation.reasons.push_back(
        Cat(explanation.ahead == 1 ? Cat("1 job is") : Cat(explanation.ahead, " jobs are"),
            " ahead of it by priority or submission"));
  }
  explanation.planned = PlannedStartOf(id);
  if (!explanation.planned && MayRun(*job)) {
    plan::Planned earliest = planner_.WhenIf(RequestFor(*job).request, LengthOf(*job) + grace());
    if (earliest.start < plan::kNever) explanation.not_before = Time{std::max(earliest.start, job->begin.us)};
  }
  if (!planner_.cluster().FitsNow(RequestFor(*job).request, LengthOf(*job) + grace()))
    AddSuggestions(*job, explanation);
  explanation.priority = priorities_.Text(*job, now);
  return explanation;
}

}  // namespace slipway::scheduler
