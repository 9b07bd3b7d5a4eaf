// SPDX-License-Identifier: Apache-2.0
// The tasks (ranks) of a step are forks of its init: nothing is mounted, looked up or evaluated once per
// rank.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/os/fd.h"
#include "launcher/container/environment.h"
#include "launcher/container/report.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

// Why a task's exec failed, as it comes through StartedTasks::failures.
struct ExecFailure {
  std::uint32_t task = 0;
  std::int32_t sys_errno = 0;
  char stage[24] = {};  // "exec", "affinity", …
};

struct StartedTasks {
  std::vector<pid_t> pids;  // by index in the spec; -1 once reaped
  UniqueFd failures;        // ExecFailure records; end of file once every task is past its exec
};

// Forks all of them and reports kStarted for each. `program` is the path of argv[0], the same for all.
// Called without privilege, signals blocked; the tasks get none blocked and the default dispositions.
Result<StartedTasks> StartTasks(const LaunchSpec& spec, const std::vector<UniqueFd>& fds,
                                const std::string& program, const Environment& env, Report& report);

}  // namespace slipway
