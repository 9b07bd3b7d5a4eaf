// SPDX-License-Identifier: Apache-2.0
// What a job asks for beside resources and a program: when it may start, what it waits for, what it is told
// before its end. `submit` takes all of it, `launch` what makes sense for one that somebody waits for.
#pragma once

#include <string>
#include <vector>

#include "base/result/result.h"
#include "cli/options/options.h"
#include "cli/remote/cluster.h"
#include "slipway/v1/job.pb.h"

namespace slipway::cli {

std::vector<Option> JobWishOptions();
// Into the specification; times count from now. kInvalidArgument names the option.
Result<> ReadJobWishes(const Parsed& options, v1::JobSpec& spec);
// What of the options will not be done, one line each.
std::vector<std::string> WarningsOf(const Parsed& options);
// --test-only: asks instead of submitting, and prints when and where it would start. The exit code.
Result<int> PrintWhenWould(Cluster& cluster, v1::SubmitRequest request);

}  // namespace slipway::cli
