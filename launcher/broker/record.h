// SPDX-License-Identifier: Apache-2.0
// What the broker knows about a step must survive its own death: one root-owned file in the step's run
// folder. A process is named by pid and start time, since a pid alone may be somebody else's by then.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/os/process_name.h"
#include "launcher/spec/step_id.h"

namespace slipway {

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
// Only a file of our own (owner as given) counts. An empty one is none (ENOENT): what a power loss leaves.
Result<RunRecord> ReadRecord(const std::string& folder, uid_t owner);

}  // namespace slipway
