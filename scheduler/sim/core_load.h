// SPDX-License-Identifier: Apache-2.0
// slipway-sim core: what the controller's own decisions cost, events, state and plan together: a submission,
// a change of an account or a reservation (the planner is made anew), a snapshot.
#pragma once

#include <string>
#include <vector>

namespace slipway::scheduler {

int CoreLoadCommand(const std::vector<std::string>& words);

}  // namespace slipway::scheduler
