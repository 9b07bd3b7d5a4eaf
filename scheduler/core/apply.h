// SPDX-License-Identifier: Apache-2.0
// The one place that changes a State. Live operation and replay both go through it, so they cannot differ.
#pragma once

#include "scheduler/core/event.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

// Total: an event that does not apply (unknown job, another attempt, a step that has ended, a duplicate)
// changes nothing but state.now. Pure: no clock, no I/O. CHECKs that no core is allotted twice.
void Apply(State& state, const Event& event);

}  // namespace slipway::scheduler
