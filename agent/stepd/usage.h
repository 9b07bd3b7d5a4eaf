// SPDX-License-Identifier: Apache-2.0
// What the ranks used, and whether the kernel killed one for memory, is in the cgroup that the broker made
// beside ours; we are not their parent and cannot ask wait4(2).
#pragma once

#include <cstdint>
#include <string>

#include "launcher/spec/step_usage.h"

namespace slipway {

// Of the cgroup v2 folder `path`; empty: nothing is known.
StepUsage UsageOf(const std::string& path);
// How many processes of it the kernel has killed for memory.
std::uint64_t OutOfMemoryKills(const std::string& path);
// The folder of the ranks' cgroup as the broker lays them out (…/stepd is ours, …/tasks theirs); empty where
// there is none. The parameters are what /proc/self/cgroup and /proc/self/mountinfo say.
std::string RanksCgroup(const std::string& self_cgroup, const std::string& mountinfo);

}  // namespace slipway
