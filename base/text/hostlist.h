// SPDX-License-Identifier: Apache-2.0
// Thousands of node names are written short, "n[1-3,5,008]", in Slurm's syntax.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway {

// Every name in order; refuses more than `names_max` before it makes them, and malformed ranges with their
// place.
Result<std::vector<std::string>> ExpandHostlist(std::string_view text, std::size_t names_max = 100000);
// The shortest spelling that expands to the same names in the same order ("n1,n2,n3" → "n[1-3]").
std::string CompressHostlist(std::span<const std::string> names);

}  // namespace slipway
