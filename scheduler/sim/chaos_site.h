// SPDX-License-Identifier: Apache-2.0
// A site for one simulated life: partitions, features, GPUs, licences, QOS with limits, weights of priority;
// and requests that make use of them.
#pragma once

#include <string>
#include <vector>

#include "scheduler/core/messages.h"
#include "scheduler/core/policy.h"
#include "scheduler/core/site.h"
#include "scheduler/core/state.h"
#include "scheduler/sim/rng.h"

namespace slipway::scheduler {

Site RandomSite(Rng& rng, const std::vector<std::string>& nodes);
// Adds to a job what the site has; some of it cannot be, and is refused.
void AskOfSite(Rng& rng, const Site& site, JobSpec& spec);
// An account, or a user in one, changed by an administrator; with limits now and then.
Account RandomAccount(Rng& rng);
// Made or changed: "r" is for users, "m" for maintenance.
ReservationRequest RandomReservation(Rng& rng, Time now, const std::vector<std::string>& nodes);
// Whether something but nodes may take back a start that was promised: a limit that others reach.
bool IsLimited(const Site& site, const State& state, const Job& job);
// A job that has just been started where it would still run in somebody else's reservation, or outside of its
// own.
std::optional<std::string> FindIntruder(const Site& site, const State& state, const Job& started);
// More starts promised to a user's jobs, or a partition's, than the site allows.
std::optional<std::string> FindOverBound(const Site& site, const State& state, const Policy& policy);
// Limits of QOS and numbers of licences that are exceeded by what runs.
std::optional<std::string> FindExceeded(const Site& site, const State& state);

}  // namespace slipway::scheduler
