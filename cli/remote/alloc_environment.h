// SPDX-License-Identifier: Apache-2.0
// What a command that runs beside an allocation finds in its environment: the job as scripts know it, so that
// `srun` there starts steps in it.
#pragma once

#include <string>
#include <vector>

#include "slipway/v1/job.pb.h"

namespace slipway::cli {

// An allocation whose shell runs on the submit host: the environment is the host's own, not a container's.
inline constexpr const char* kHeldHereVariable = "SLIPWAY_ALLOC";

// NAME=value. `context`: how the cluster is called; `caller`: "salloc", "slipway". Pure.
std::vector<std::string> AllocEnvironment(const v1::Job& job, const std::string& context,
                                          const std::string& caller);

}  // namespace slipway::cli
