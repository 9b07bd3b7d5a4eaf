// SPDX-License-Identifier: Apache-2.0
// Slurm lets people say how many tasks, cores and how much memory go with each GPU, and name their nodes.
// Here is what that means in cores, tasks and memory of tasks and nodes; what is not exactly one of these is
// refused, with what to say instead.
#pragma once

#include <vector>

#include "base/result/result.h"
#include "cli/options/options.h"
#include "slipway/v1/job.pb.h"

namespace slipway::cli {

std::vector<Option> RatioOptions();
// All else of the resources must have been read. kInvalidArgument names the option.
Result<> ReadRatios(const Parsed& options, v1::Resources& resources);
// --nodelist, --nodefile and --exclude, not expanded.
Result<> ReadNodeChoice(const Parsed& options, v1::Resources& resources);
// --exclusive, and --mem=0, which means all of a whole node's memory. `step`: of a job that has both.
Result<> ReadWholeNodes(const Parsed& options, bool step, v1::Resources& resources);

}  // namespace slipway::cli
