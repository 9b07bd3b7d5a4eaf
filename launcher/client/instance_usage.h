// SPDX-License-Identifier: Apache-2.0
// What an instance uses now: of its cgroup where it has one of its own (exact, with what has ended already),
// else summed up over its processes (what has ended is not in it).
#pragma once

#include <cstdint>
#include <string>

#include "launcher/client/instance_folder.h"

namespace slipway {

struct InstanceUsage {
  std::uint64_t cpu_us = 0, memory_bytes = 0, processes = 0;
  std::uint64_t memory_limit_bytes = 0, processes_limit = 0;  // 0: none
  bool of_cgroup = false;
};

// `proc`: where procfs is mounted, for tests.
InstanceUsage UsageOf(const InstanceState& state, const std::string& proc = "/proc");

}  // namespace slipway
