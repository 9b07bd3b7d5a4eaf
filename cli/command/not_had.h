// SPDX-License-Identifier: Apache-2.0
// Commands of Apptainer that nothing here answers to, each with what to do instead.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace slipway::cli {

// The line for `words` (not empty), or nothing where they are no such command.
std::optional<std::string> WhyNotHad(const std::vector<std::string>& words);

}  // namespace slipway::cli
