// SPDX-License-Identifier: Apache-2.0
// What the broker knows about a step must survive its own death: one root-owned file in the step's run
// folder. A process is named by pid and start time, since a pid alone may be somebody else's by then.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/os/process.h"
#include "launcher/spec/step_id.h"

namespace slipway {

struct ProcessName {
  std::int32_t pid = 0;
  std::uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat
};
void Fields(auto& archive, IsA<ProcessName> auto& v) { archive(v.pid, v.start_ticks); }

struct RunRecord {
  std::uint32_t version = 1;
  std::string boot_id;
  StepId step;
  std::uint32_t uid = 0, gid = 0;
  std::string image_digest;
  std::string cgroup;  // absolute path; empty: none
  ProcessName init, stepd;
  std::uint64_t deadline_boot_ms = 0;  // CLOCK_BOOTTIME; 0: none
  bool ended = false;
  std::int32_t stepd_wait_status = 0;
  std::string reason;
};
void Fields(auto& archive, IsA<RunRecord> auto& v) {
  archive(v.version, v.boot_id, v.step, v.uid, v.gid, v.image_digest, v.cgroup, v.init, v.stepd,
          v.deadline_boot_ms, v.ended, v.stepd_wait_status, v.reason);
}

// stepd's wait status when it ended while no broker was its parent.
inline constexpr std::int32_t kUnknownWaitStatus = -1;

Result<> WriteRecord(const std::string& folder, const RunRecord& record);
// Only a file of our own (owner as given) counts.
Result<RunRecord> ReadRecord(const std::string& folder, uid_t owner);

Result<ProcessName> NameOf(pid_t pid);
// kNotFound when that process has ended, also when its pid is another's now.
Result<Process> FindProcess(const ProcessName& name);

Result<std::string> BootId();
std::uint64_t BootMilliseconds();

}  // namespace slipway
