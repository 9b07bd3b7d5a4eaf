// SPDX-License-Identifier: Apache-2.0
// What must hold in every state, computed from the jobs alone and not from what Apply keeps.
#pragma once

#include <optional>
#include <string>

#include "scheduler/core/site.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

// The first thing that is wrong, if any: a core or memory allotted twice, an index that disagrees with the
// jobs.
std::optional<std::string> FindWrong(const State& state, const Site& site);

}  // namespace slipway::scheduler
