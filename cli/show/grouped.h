// SPDX-License-Identifier: Apache-2.0
// A node says of each limit that it cannot hold what it is and why ("memory: no cgroup v2 hierarchy"). Where
// all have one reason the row of a table is that reason over and over.
#pragma once

#include <string>
#include <vector>

namespace slipway::cli {

// "memory: WHY" and "pids: WHY" become "memory, pids: WHY", in the order of the first of each; what says no
// reason stays as it is.
std::vector<std::string> GroupedByReason(const std::vector<std::string>& what);

}  // namespace slipway::cli
