// SPDX-License-Identifier: Apache-2.0
// MPICH learns which ranks share a node from one string, "(vector,(first node,nodes,ranks on each),…)";
// without it every pair of ranks would have to compare host names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace slipway {

// Of ranks[node]; every rank from 0 on once.
std::string PmiProcessMapping(const std::vector<std::vector<std::uint32_t>>& ranks);

}  // namespace slipway
