// SPDX-License-Identifier: Apache-2.0
// --memory, --cpus and their like, for containers that no scheduler limits. Names and meanings are
// Apptainer's.
#pragma once

#include <vector>

#include "cli/options/options.h"
#include "launcher/spec/limits.h"

namespace slipway::cli {

std::vector<Option> LimitOptionList();

// kInvalidArgument names the option and what it takes.
Result<ContainerLimits> LimitsOf(const Parsed& parsed);

}  // namespace slipway::cli
