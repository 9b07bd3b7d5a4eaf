// SPDX-License-Identifier: Apache-2.0
// One user's jobs that cannot start now may not use up all the starts that are promised, nor may those of one
// partition. Who holds a promise counts first, wherever it stands now: nothing is taken back. Whoever finds
// the bound reached waits without a promise and may start wherever it fits. A bound that was in somebody's
// way stays so to the end of the walk: where a promise was given up meanwhile, the next walk gives that place
// to the first in order, and not to who just comes later.
#include <algorithm>

#include "scheduler/plan/planner.h"

namespace slipway::plan {

std::vector<std::uint32_t> Planner::LimitsOf(JobNumber id) const {
  const Gang* gang = GangOf(id);
  if (gang == nullptr) return limit_sets_[jobs_.at(id).limits];
  std::vector<std::uint32_t> all;
  for (JobNumber one : *gang) {
    const std::vector<std::uint32_t>& limits = limit_sets_[jobs_.at(one).limits];
    all.insert(all.end(), limits.begin(), limits.end());
  }
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

std::optional<std::uint32_t> Planner::BoundOnPlanning(JobNumber id) const {
  JobState state = jobs_.at(id).state;
  if (state == JobState::kPlanned || state == JobState::kRunning) return std::nullopt;
  for (std::uint32_t number : LimitsOf(id)) {
    if (limits_[number].PlansNoMore()) return number;
  }
  return std::nullopt;
}

bool Planner::PlansNoMore(LimitSet set) const {
  return std::ranges::any_of(limit_sets_[set],
                             [&](std::uint32_t number) { return limits_[number].PlansNoMore(); });
}

bool Planner::BoundsRunning(LimitSet set) const {
  return std::ranges::any_of(limit_sets_[set],
                             [&](std::uint32_t number) { return limits_[number].BoundsRunning(); });
}

// Of a gang the first stands for all.
void Planner::CountPlanned(JobNumber id, int change) {
  const Gang* gang = GangOf(id);
  if (gang == nullptr && jobs_.at(id).limits == 0) return;
  if (gang != nullptr && gang->front() != id) return;
  for (std::uint32_t number : LimitsOf(id)) limits_[number].planned += change;
}

bool Planner::MayPlan(const std::vector<std::uint32_t>& limits, std::vector<std::uint32_t>& refused) {
  bool may = true;
  for (std::uint32_t number : limits) {
    Limit& limit = limits_[number];
    if (!limit.BoundsPlanning()) continue;
    if (limit.refused_in != statistics_.walks && limit.PlansNoMore()) {
      limit.refused_in = statistics_.walks;
      refused.push_back(number);
    }
    may = may && limit.refused_in != statistics_.walks;
  }
  return may;
}

}  // namespace slipway::plan
