// SPDX-License-Identifier: Apache-2.0
// The files of the host that a line of %files names.
#pragma once

#include <string>
#include <vector>

#include "base/result/result.h"

namespace slipway::build {

// Patterns, braces and ~, sorted; kNotFound when there is none.
Result<std::vector<std::string>> HostFiles(const std::string& pattern);

}  // namespace slipway::build
