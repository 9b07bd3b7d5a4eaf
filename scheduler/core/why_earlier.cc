// SPDX-License-Identifier: Apache-2.0
// "What should I have asked for?" Changes of a job's request that start it earlier than it will as it is,
// each with its start. They are tried on a copy of the plan's books, beside all that runs and is promised to
// others, and not guessed. How often is bounded: first each change once (of amounts the least), then halving
// looks for the most of what helps, as long as tries are left.
#include <algorithm>

#include "base/result/result.h"
#include "scheduler/core/planning_policy.h"
#include "scheduler/core/request_changes.h"
#include "scheduler/plan/what_if.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint32_t kTriesMax = 64;          // each costs what planning one job costs
constexpr std::uint32_t kTriesTogetherMax = 12;  // of components that start together, which costs more
constexpr std::size_t kToldMax = 5;

}  // namespace

class PlanningPolicy::EarlierSearch {
 public:
  EarlierSearch(PlanningPolicy& policy, const State& state, const Job& job)
      : policy_(policy),
        state_(state),
        job_(job),
        spec_(std::make_shared<JobSpec>(*job.spec)),
        asked_{"", policy.AskedNow(job), job.time_limit_s},
        books_(policy.planner_, job.id.value),
        tries_max_(books_.starts_with_others() ? kTriesTogetherMax : kTriesMax) {
    spec_->command = {};  // it decides nothing here, and may be long
  }

  std::vector<EarlierStart> Run() {
    as_it_is_ = StartOf(asked_);
    if (auto promise = policy_.PlannedStartOf(job_.id)) as_it_is_ = std::min(as_it_is_, promise->at.us);
    if (as_it_is_ <= now()) return {};
    const std::vector<LesserAmounts> amounts = LesserAmountsOf(asked_, *spec_);
    const std::vector<RequestChange> wishes = OtherWishesOf(*policy_.site_, asked_);
    std::vector<Best> best;
    for (std::size_t i = 0; i < amounts.size(); ++i) {
      plan::Instant start = StartOf(amounts[i].at(amounts[i].least));
      if (start < as_it_is_) best.push_back({i, amounts[i].least, start});
    }
    for (std::size_t i = 0; i < wishes.size(); ++i)
      Add(wishes[i].what, StartOf(wishes[i]), amounts.size() + i);
    for (Best& one : best) {
      one = Most(amounts[one.which], one, one.start + 1);
      Add(amounts[one.which].at(one.amount).what, one.start, one.which);
    }
    for (const Best& one : best) {
      Best less = Most(amounts[one.which], one, as_it_is_);
      if (less.amount != one.amount) Add(amounts[one.which].at(less.amount).what, less.start, one.which);
    }
    return Told();
  }

 private:
  // Of one of the amounts that can be lessened.
  struct Best {
    std::size_t which = 0;
    std::uint64_t amount = 0;
    plan::Instant start = plan::kNever;
  };
  struct Found {
    plan::Instant start = plan::kNever;
    std::size_t order = 0;
    std::string what;
  };

  plan::Instant now() const { return policy_.planner_.cluster().now(); }

  // kNever, too, when there are no tries left: what is told has been looked up.
  plan::Instant StartOf(const RequestChange& change) {
    if (books_.tries() >= tries_max_) return plan::kNever;
    Job changed = job_;
    spec_->resources = change.resources;
    changed.spec = spec_;
    changed.time_limit_s = change.time_limit_s;
    if (policy_.SiteObstacle(state_, changed).reason != PendingReason::kNone) return plan::kNever;
    std::vector<std::uint32_t> limits;
    if (change.resources.partition != asked_.resources.partition)
      limits = policy_.limits_.Known(state_, changed);
    const plan::Request request = policy_.MakeRequest(change.resources).request;
    plan::Instant start = books_.StartOf(request, LengthOf(changed), limits);
    return start >= plan::kNever ? start : std::max(start, job_.begin.us);
  }

  // The largest amount from `least` on that starts before `before`, as `least` does.
  Best Most(const LesserAmounts& amounts, Best least, plan::Instant before) {
    std::uint64_t high = amounts.asked;
    while (least.amount + 1 < high && books_.tries() < tries_max_) {
      const std::uint64_t middle = least.amount + (high - least.amount) / 2;
      plan::Instant start = StartOf(amounts.at(middle));
      if (start < before) {
        least.amount = middle;
        least.start = start;
      } else {
        high = middle;
      }
    }
    return least;
  }

  void Add(const std::string& what, plan::Instant start, std::size_t order) {
    if (start < as_it_is_) found_.push_back({start, order, what});
  }

  std::vector<EarlierStart> Told() {
    std::ranges::stable_sort(found_, {}, [](const Found& one) { return std::pair(one.start, one.order); });
    if (found_.size() > kToldMax) found_.resize(kToldMax);
    std::vector<EarlierStart> told;
    for (Found& one : found_) told.push_back({std::move(one.what), {one.start}, one.start <= now()});
    return told;
  }

  PlanningPolicy& policy_;
  const State& state_;
  const Job& job_;
  std::shared_ptr<JobSpec> spec_;
  const RequestChange asked_;
  plan::WhatIf books_;
  const std::uint32_t tries_max_;
  plan::Instant as_it_is_ = plan::kNever;
  std::vector<Found> found_;
};

std::vector<EarlierStart> PlanningPolicy::EarlierStarts(const State& state, const Job& job) {
  if (!MayRun(job)) return {};  // no other request would help
  const plan::Cluster::Named before = planner_.cluster().named();
  std::vector<EarlierStart> earlier = EarlierSearch(*this, state, job).Run();
  // What only the tries have named is forgotten: asking leaves nothing behind.
  std::erase_if(wheres_, [&](const auto& entry) {
    return entry.second.set >= before.sets || entry.second.pattern >= before.patterns;
  });
  planner_.cluster().ForgetNamedSince(before);
  return earlier;
}

}  // namespace slipway::scheduler
