// SPDX-License-Identifier: Apache-2.0
// "Why does my job not start?" deserves all reasons at once, who is ahead, when it will start, and what would
// make it start now. The suggestions are tried on the plan, not guessed.
#include <algorithm>

#include "base/result/result.h"
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

void PlanningPolicy::AddReasons(const State& state, const Job& job, Explanation& to) {
  if (job.hold != Hold::kNone)
    to.reasons.emplace_back(PendingReasonText(job.hold == Hold::kUser ? PendingReason::kHeldByUser
                                                                      : PendingReason::kHeldByAdmin));
  AddDependencies(state, job, to);
  if (begins_.contains(job.id) || job.begin > state.now)
    to.reasons.emplace_back(PendingReasonText(PendingReason::kBeginTime));
  auto array = state.arrays.find(job.array);
  if (array != state.arrays.end()) {
    std::uint32_t bound = array->second.spec->array->max_running;
    if (bound > 0 && array->second.running >= bound)
      to.reasons.push_back(Cat(array->second.running, " tasks of its array run, and it allows ", bound));
  }
  const plan::Request& request = RequestFor(job.spec->resources).request;
  if (planner_.cluster().FitsNow(request, LengthOf(job) + kGrace)) return;
  if (!planner_.cluster().CouldRun(request, true)) {
    to.reasons.emplace_back(PendingReasonText(PendingReason::kNodesUnavailable));
    return;
  }
  std::size_t now = planner_.cluster().CountFit(request, 1),
              free = planner_.cluster().CountFit(request, LengthOf(job) + kGrace);
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
    return cluster.FitsNow(RequestOf(changed).request, length + kGrace);
  };
  if (cluster.FitsNow(request, kSecond + kGrace)) {  // a shorter limit would do
    std::int64_t low = 1, high = LengthOf(job) / kSecond;
    while (low + 1 < high) {
      std::int64_t middle = low + (high - low) / 2;
      (cluster.FitsNow(request, middle * kSecond + kGrace) ? low : high) = middle;
    }
    if (low >= 120) low -= low % 60;
    to.suggestions.push_back(Cat("with a time limit of ", Minutes(low * kSecond), " it would fit now"));
  }
  if (asked.exclusive) {
    Resources changed = asked;
    changed.exclusive = false;
    if (fits(changed, LengthOf(job))) to.suggestions.emplace_back("without --exclusive it would fit now");
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

Explanation PlanningPolicy::Explain(const State& state, JobId id) {
  Explanation explanation;
  const Job* job = state.FindJob(id);
  if (job == nullptr || job->state != JobState::kPending) return explanation;
  if (stale_) Rebuild(state);
  for (const PendingKey& key : state.pending) {
    if (key.job == id) break;
    const Job& other = *state.FindJob(key.job);
    if (!MayRun(other) || begins_.contains(key.job)) continue;
    if (++explanation.ahead <= kAheadNamed) explanation.first_ahead.push_back(key.job);
  }
  AddReasons(state, *job, explanation);
  if (explanation.ahead > 0) {
    explanation.reasons.push_back(
        Cat(explanation.ahead == 1 ? Cat("1 job is") : Cat(explanation.ahead, " jobs are"),
            " ahead of it by priority or submission"));
  }
  explanation.planned = PlannedStartOf(id);
  if (!explanation.planned && MayRun(*job)) {
    plan::Planned earliest =
        planner_.WhenIf(RequestFor(job->spec->resources).request, LengthOf(*job) + kGrace);
    if (earliest.start < plan::kNever) explanation.not_before = Time{std::max(earliest.start, job->begin.us)};
  }
  if (!planner_.cluster().FitsNow(RequestFor(job->spec->resources).request, LengthOf(*job) + kGrace))
    AddSuggestions(*job, explanation);
  explanation.priority = Cat(job->priority(), " = ", job->base_priority, " asked for",
                             job->nice < 0 ? " + " : " - ", std::abs(std::int64_t{job->nice}), " nice");
  return explanation;
}

}  // namespace slipway::scheduler
