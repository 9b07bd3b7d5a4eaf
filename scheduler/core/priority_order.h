// SPDX-License-Identifier: Apache-2.0
// Where does a waiting job stand? Multifactor priority: each factor is 0 … 1 and counts its weight, all of
// them settings. Age and fair share change all the time, but not the order within a *lane*: among the jobs of
// one association that still grow older, all grow alike, and those that are old enough do not grow any more.
// So each association has two lanes, a recalculation moves whole lanes, and a job changes lanes once, at a
// time that is known when it begins to wait: the queue is never sorted again.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "scheduler/core/fair_tree.h"
#include "scheduler/core/site.h"
#include "scheduler/core/state.h"
#include "scheduler/plan/planner.h"

namespace slipway::scheduler {

// All in 1/kPriorityUnit of a point.
inline constexpr std::int64_t kPriorityUnit = 1024;
struct PriorityParts {
  std::int64_t site = 0, age = 0, fair_share = 0, size = 0, partition = 0, qos = 0, tres = 0, nice = 0;
  std::int64_t sum() const { return site + age + fair_share + size + partition + qos + tres - nice; }
};

class PriorityOrder {
 public:
  explicit PriorityOrder(std::shared_ptr<const Site> site) : site_(std::move(site)) {}

  // The planner is new: its lanes are made again. `totals`: of the whole cluster.
  void Reset(const State& state, const Tres& totals);
  // priority for JobFacts, and the lane, of a job that begins to wait.
  struct Place {
    std::int64_t priority = 0;
    plan::LaneNumber lane = 0;
  };
  Place PlaceOf(const Job& job, plan::Planner& planner);
  void Forget(const Job& job) { growing_.erase({SaturationOf(job), job.id}); }
  // What time changes: fair shares (as often as the site says, and when an account was changed), ages.
  void Update(const State& state, plan::Planner& planner, Time now);
  void AccountsChanged() { fair_due_ = {}; }
  // As after Reset, without new lanes: shares are computed again, and of the jobs that there are (each is to
  // be counted) it is known which are old.
  void BeginAgain() {
    fair_due_ = {};
    old_jobs_ = 0;
  }
  // Its place were all ages counted anew now, which the planner's lanes are when something is decided next.
  plan::Rank RankNow(const Job& job, const plan::Planner& planner, Time now) const;
  void Count(const Job& job, const plan::Planner& planner) { old_jobs_ += IsOld(job, planner) ? 1 : 0; }
  const Tres& totals() const { return totals_; }
  // When Update has something to do again.
  Time next() const;

  PriorityParts PartsOf(const Job& job, Time now) const;
  // "1024 = 24 site + 1000 fair share (0.50 of 2000) - 0 nice"
  std::string Text(const Job& job, Time now) const;
  const FairTree& fair_tree() const { return tree_; }

 private:
  std::int64_t TierOf(const Job& job) const;  // the highest of its partitions'; 0: it has none
  struct Lanes {
    plan::LaneNumber growing = 0, old = 0;
  };
  bool flat() const { return site_->weights.age == 0 && site_->weights.fair_share == 0; }
  // Of an age, not bounded and rounded down: that of a full age more is exactly the weight more.
  std::int64_t AgePoints(std::int64_t us) const;
  std::int64_t FullAge_us() const { return std::int64_t{std::max(site_->weights.age_max_s, 1U)} * 1'000'000; }
  std::int64_t FairPoints(const AssociationKey& key) const;
  Time SaturationOf(const Job& job) const;
  bool IsOld(const Job& job, const plan::Planner& planner) const {
    return SaturationOf(job).us <= planner.cluster().now();
  }
  PriorityParts StaticParts(const Job& job) const;
  Lanes& LanesOf(const Job& job, plan::Planner& planner);
  void SetOffsets(plan::Planner& planner, Time now);

  std::shared_ptr<const Site> site_;
  Tres totals_;
  Time origin_;      // ages are counted from here, so that numbers stay small: a multiple of the full age, so
                     // that it does not decide how they are rounded
  Time offsets_at_;  // the growing lanes' offsets are of this time, whenever they were made
  Time fair_due_;    // compute fair shares again then
  FairTree tree_;
  std::map<AssociationKey, Lanes> lanes_;
  std::set<std::pair<Time, JobId>> growing_;  // jobs in growing lanes, by the time when they are old
  std::uint64_t old_jobs_ = 0;                // ever moved to an old lane: then both kinds must be compared
};

}  // namespace slipway::scheduler
