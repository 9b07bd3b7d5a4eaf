// SPDX-License-Identifier: Apache-2.0
// In a pass: jobs that start together, in the place of their first.
#include <algorithm>
#include <utility>

#include "base/result/result.h"
#include "scheduler/plan/pass_walk.h"

namespace slipway::plan {

void PassWalk::PushGang(JobNumber first) {
  const Planner::Job& job = p_.jobs_.at(first);
  if (job.state == Planner::JobState::kGang)
    heads_.push_back({job.entry.rank + p_.lanes_[job.lane], first, kGang});
}

bool PassWalk::StartGang(JobNumber first, std::vector<Planned> promised) {
  const Planner::Gang gang = p_.gangs_.at(first);
  auto nodes = p_.PlacesNow(gang, std::move(promised));
  if (!nodes) return false;
  p_.gangs_.erase(first);
  for (std::size_t i = 0; i < gang.size(); ++i) {
    p_.gang_first_.erase(gang[i]);
    Planner::Job& job = p_.jobs_.at(gang[i]);
    Start(job, {std::move((*nodes)[i]), job.length});
  }
  return true;
}

Instant PassWalk::LongestOf(const Planner::Gang& gang) const {
  Instant longest = 0;
  for (JobNumber id : gang) longest = std::max(longest, p_.jobs_.at(id).length);
  return longest;
}

void PassWalk::ConsiderGang(JobNumber first) {
  const Planner::Gang gang = p_.gangs_.at(first);
  if (!p_.GangLimitsAllow(gang)) return;
  bool alone = planned_count_ == 0 || p_.rules_.backfill != Backfill::kBeforeFirst;
  bool may = alone || After(now_, LongestOf(gang)) < first_start_;
  if (may && StartGang(first)) return;
  blocked_any_ = true;
  if (p_.rules_.backfill == Backfill::kNone) {
    stop_ = true;
    if (p_.rules_.keeps_choice) p_.HoldGang(gang, std::vector<Planned>(gang.size()));
    return;
  }
  if (planned_count_ >= p_.rules_.reservations) {
    if (MayBeToBePlanned()) stop_ = stop_ || !p_.BoundOnPlanning(first);
    return;
  }
  if (!p_.MayPlan(p_.LimitsOf(first), refused_)) return;
  ++p_.statistics_.plans;
  auto planned = Planner::EarliestTogether(p_.cluster_, p_.PartsOf(gang));
  if (!planned) return;
  ++planned_count_;
  first_start_ = std::min(first_start_, planned->front().start);
  p_.HoldGang(gang, std::move(*planned));
}

void PassWalk::ConsiderPlannedGang(JobNumber first) {
  const Planner::Gang gang = p_.gangs_.at(first);
  ++planned_count_;
  const Instant promised = p_.jobs_.at(first).start;
  if (p_.rules_.backfill == Backfill::kNone) stop_ = true;
  if (promised > now_ && p_.jobs_.at(first).planned_at == p_.gains_) {
    first_start_ = std::min(first_start_, promised);
    return;
  }
  std::vector<Planned> before = p_.UnholdGang(gang);
  auto give_up = [&] {
    --planned_count_;
    Moved();
  };
  if (!p_.GangLimitsAllow(gang)) return give_up();
  if (StartGang(first, before)) {
    Moved();
    stop_ = false;
    --planned_count_;
    return;
  }
  ++p_.statistics_.plans;
  auto planned = Planner::EarliestTogether(p_.cluster_, p_.PartsOf(gang));
  const Instant start = planned ? planned->front().start : kNever;
  const bool keep = start >= promised && promised > now_ && promised < kNever;
  if (keep && p_.PromisesHold(gang, before)) {
    first_start_ = std::min(first_start_, promised);
    return p_.HoldGang(gang, std::move(before));
  }
  if (start > promised && promised < kNever) ++p_.statistics_.promises_broken;
  if (start < promised) Moved();
  first_start_ = std::min(first_start_, start);
  if (!planned && !p_.rules_.keeps_choice) return give_up();
  p_.HoldGang(gang, planned ? std::move(*planned) : std::vector<Planned>(gang.size()));
}
}  // namespace slipway::plan
