// SPDX-License-Identifier: Apache-2.0
// What names a process beyond the life of whoever watches it, and of the boot in which it lived: a pid alone
// may be somebody else's by then.
#pragma once

#include <cstdint>
#include <string>

#include "base/os/process.h"

namespace slipway {

struct ProcessName {
  std::int32_t pid = 0;
  std::uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat
};

Result<ProcessName> NameOf(pid_t pid);
// kNotFound when that process has ended, also when its pid is another's now.
Result<Process> FindProcess(const ProcessName& name);

Result<std::string> BootId();
std::uint64_t BootMilliseconds();

}  // namespace slipway
