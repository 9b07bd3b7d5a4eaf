// SPDX-License-Identifier: Apache-2.0
// The part of Apply that is about accounts and what their users have used. Private to the core.
#pragma once

#include "scheduler/core/event.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

void ApplyAccount(State& state, const AccountSet& event);
void ApplyAccount(State& state, const AccountRemoved& event);
void ApplyAccount(State& state, const AssociationSet& event);
void ApplyAccount(State& state, const AssociationRemoved& event);

// The user's part in the account that his job names; made where there is none.
void EnsureAssociation(State& state, const JobSpec& spec);

}  // namespace slipway::scheduler
