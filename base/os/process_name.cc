// SPDX-License-Identifier: Apache-2.0
#include "base/os/process_name.h"

#include <charconv>
#include <ctime>

namespace slipway {

Result<ProcessName> NameOf(pid_t pid) {
  std::string stat = TRY(ReadFile(Cat("/proc/", pid, "/stat"), 4096));
  // Field 2 is the program's name in parentheses and may hold anything; field 3 follows the last ')'.
  std::size_t at = stat.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = stat.find(' ', at + 1);
  ProcessName name{pid, 0};
  if (at == std::string::npos) return Fail(Code::kDataLoss, "/proc/", pid, "/stat: malformed");
  std::from_chars(stat.data() + at + 1, stat.data() + stat.size(), name.start_ticks);
  return name;
}

Result<Process> FindProcess(const ProcessName& name) {
  auto gone = [&] { return Fail(Code::kNotFound, "process ", name.pid, " has ended"); };
  if (name.pid <= 0) return gone();
  auto process = Process::Of(name.pid);
  if (!process) return gone();
  // Read after the pidfd was opened: if it still is the one we mean, the pidfd is its.
  auto now = NameOf(name.pid);
  if (!now || now->start_ticks != name.start_ticks) return gone();
  return std::move(*process);
}

Result<std::string> BootId() { return ReadFile("/proc/sys/kernel/random/boot_id", 64); }

std::uint64_t BootMilliseconds() {
  timespec now;
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

}  // namespace slipway
