// SPDX-License-Identifier: Apache-2.0
// What the ranks used, and whether the kernel killed one for memory, is in the cgroup that the broker made
// beside ours; we are not their parent and cannot ask wait4(2).
#pragma once

#include <cstdint>
#include <string>

namespace slipway {

struct Usage {
  std::uint64_t cpu_us = 0, rss_peak_bytes = 0, oom_kills = 0;  // 0: not known
};
// Of the cgroup v2 folder `path`.
Usage UsageOf(const std::string& path);
// The folder of the ranks' cgroup as the broker lays them out (…/stepd is ours, …/tasks theirs); empty where
// there is none. The parameters are what /proc/self/cgroup and /proc/self/mountinfo say.
std::string RanksCgroup(const std::string& self_cgroup, const std::string& mountinfo);

}  // namespace slipway
