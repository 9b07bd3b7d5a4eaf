// SPDX-License-Identifier: Apache-2.0
// --propagate: which limits of the submitter's shell go along to the ranks, wherever they run. They travel in
// the step's environment and each rank sets them on itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "base/wire/wire.h"

namespace slipway {

inline constexpr const char* kResourceLimitsVariable = "SLIPWAY_RESOURCE_LIMITS";

// A soft limit; the hard one is the node's. `resource` is of setrlimit(2), or kNiceness.
struct ResourceLimit {
  static constexpr std::uint32_t kNiceness = 1000;
  std::uint32_t resource = 0;
  std::uint64_t value = 0;  // ~0: unlimited; kNiceness: 0 to 39, 20 is usual
  bool operator==(const ResourceLimit&) const = default;
};
void Fields(auto& archive, IsA<ResourceLimit> auto& v) { archive(v.resource, v.value); }

// "ALL", "NONE" or names (AS, CORE, CPU, DATA, FSIZE, MEMLOCK, NOFILE, NPROC, RSS, STACK as Slurm has them,
// and NICE): of the calling process, as the variable's value "CORE=0,NOFILE=1024"; NICE is not part of ALL.
// Any thread.
Result<std::string> OwnResourceLimits(std::string_view names);
// Pure; empty where the variable is not set. An error names what means nothing.
Result<std::vector<ResourceLimit>> ResourceLimitsOf(const std::vector<std::string>& env);
Result<> CheckResourceLimits(const std::vector<ResourceLimit>& limits);
// On the calling process: as far as its hard limits go. The error names the limit. Makes no allocation when
// it succeeds.
Result<> SetResourceLimits(const std::vector<ResourceLimit>& limits);

}  // namespace slipway
