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

// Every association comes in by this, one that a snapshot holds too. Its usage stays, or is 0.
void PutAssociation(State& state, const AssociationKey& key, Association association);

// The user's part in the account that his job names; made where there is none.
void EnsureAssociation(State& state, const JobSpec& spec);

}  // namespace slipway::scheduler
