// SPDX-License-Identifier: Apache-2.0
// What users have used, decaying. Replay must give the same numbers on every machine, so all of it is integer
// arithmetic over the times of events: at the end of each period usage is multiplied by a fixed fraction, and
// what runs is charged for the period. Unit: thousandths of a billing second (a core for a second: 1000).
#pragma once

#include "scheduler/core/site.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

// For UsageClock: the half-life as a fraction for each period.
std::uint32_t DecayOf(std::uint32_t half_life_s, std::uint32_t period_s);

// What a second of the allocation costs, in thousandths.
std::uint64_t BillingOf(const UsageRules& rules, const std::vector<NodeAllocation>& nodes,
                        std::uint32_t qos_milli);

// Part of Apply. Ends the periods that are over at `now`.
void AdvanceUsage(State& state, Time now);
// Charges an active job for the time since it was charged last.
void ChargeJob(State& state, Job& job, Time now);
void StartUsageClock(State& state, UsageClock clock, Time now);

}  // namespace slipway::scheduler
