// SPDX-License-Identifier: Apache-2.0
#include "scheduler/plan/what_if.h"

#include <algorithm>

namespace slipway::plan {

WhatIf::WhatIf(const Planner& planner, JobNumber id) : planner_(planner), books_(planner.cluster_) {
  auto found = planner.jobs_.find(id);
  if (found == planner.jobs_.end()) return;
  limits_ = found->second.limits;
  const Planner::Gang* gang = planner.GangOf(id);
  const Planner::Gang own = gang == nullptr ? Planner::Gang{id} : *gang;
  for (JobNumber one : own) {
    const Planner::Job& job = planner.jobs_.at(one);
    if (job.state == Planner::JobState::kPlanned) planner.TakeOrGive(books_, job, Use::kHold, false);
  }
  if (gang == nullptr) return;
  gang_ = *gang;
  own_part_ = static_cast<std::size_t>(std::ranges::find(*gang, id) - gang->begin());
  others_run_ = planner.limits_;
  for (JobNumber one : *gang) {
    if (one == id) continue;
    const Planner::Job& job = planner.jobs_.at(one);
    const Request& request = planner.queue_.shape(job.shape).request;
    const std::vector<std::uint32_t>& numbers = planner.limit_sets_[job.limits];
    others_are_limited_ =
        others_are_limited_ || Planner::FirstReachedOf(others_run_, numbers, request).has_value();
    Planner::CountIn(others_run_, numbers, request, +1);
  }
}

Instant WhatIf::StartOf(const Request& request, Instant length, const std::vector<std::uint32_t>& also) {
  const std::vector<Limit>& limits = gang_.empty() ? planner_.limits_ : others_run_;
  auto reached = [&](const std::vector<std::uint32_t>& numbers) {
    return Planner::FirstReachedOf(limits, numbers, request).has_value();
  };
  if (others_are_limited_ || reached(planner_.limit_sets_[limits_]) || reached(also)) return kNever;
  ++tries_;
  books_.TakeSetsOf(planner_.cluster_);
  length = After(length, planner_.grace_);
  if (gang_.empty()) return books_.Earliest(request, length).start;
  std::vector<Planner::Part> parts = planner_.PartsOf(gang_);
  parts[own_part_].request = request;
  parts[own_part_].length = length;
  auto planned = Planner::EarliestTogether(books_, parts);
  return planned ? planned->front().start : kNever;
}

}  // namespace slipway::plan
