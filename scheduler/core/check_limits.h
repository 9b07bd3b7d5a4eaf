// SPDX-License-Identifier: Apache-2.0
// The limits of a job's QOS and of its accounts that do not depend on what runs. Private to the core.
#pragma once

#include <functional>

#include "scheduler/core/site.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

// Whose limits hold for a job: its own QOS and its partitions', each once.
std::vector<const Qos*> QosOf(const Site& site, std::string_view own, std::string_view partitions);
// Whether the QOS allows a job of that size, were it alone.
Result<> CheckQos(const Qos& qos, const JobSpec& spec, std::uint32_t time_limit_s);

// Calls see(account) for the account and those above it, up to root.
void EachAccountUp(const State& state, const std::string& account,
                   const std::function<void(const Account&)>& see);
// The user's own limits in the account; what he has none of, the nearest account has for each of its users.
Limits LimitsOfUser(const State& state, const AssociationKey& key);

// Whether the job is within what each job may ask for, and within what all jobs together may have: a job
// beyond could never start. kFailedPrecondition with Slurm's name of the reason in front.
Result<> CheckJobLimits(const Site& site, const State& state, const JobSpec& spec,
                        std::uint32_t time_limit_s);
// Of components that start together: the sum of those that count together is within each limit for a job.
Result<> CheckSumLimits(const Site& site, const State& state, const std::vector<JobSpec>& components);
// Whether so many more jobs may be submitted.
Result<> CheckSubmitLimits(const Site& site, const State& state, const JobSpec& spec, std::uint32_t tasks);

}  // namespace slipway::scheduler
