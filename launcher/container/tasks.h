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

// Why a task never became its program, as it comes through StartedTasks::failures. Small enough for a pipe to
// carry whole.
struct TaskFailure {
  std::uint32_t task = 0;
  std::int32_t exit_code = kExitOurs;
  char line[1024] = {};  // ends with a NUL
};
// Writes one to `failure_fd` and ends the calling process.
[[noreturn]] void FailTask(std::uint32_t task, int exit_code, const std::string& line, int failure_fd);

struct StartedTasks {
  std::vector<pid_t> pids;  // by index in the spec; -1 once reaped
  UniqueFd failures;        // TaskFailure records; end of file once every task is past its exec
};

// Forks all of them and reports kStarted for each. `program` is the path of argv[0], the same for all.
// `cgroups`: by task, the folder that it moves itself into first; empty: all stay in ours. Called without
// privilege, signals blocked; the tasks get none blocked and the default dispositions.
Result<StartedTasks> StartTasks(const LaunchSpec& spec, const std::vector<UniqueFd>& fds,
                                const std::string& program, const Environment& env,
                                const std::vector<UniqueFd>& cgroups, Report& report);

// Makes the calling process, a fork of the init, task `index` of the spec. `number` names it in a failure.
[[noreturn]] void BecomeTask(const LaunchSpec& spec, const std::vector<UniqueFd>& fds,
                             const std::string& program, const Environment& env, std::uint32_t index,
                             std::uint32_t number, int failure_fd);

}  // namespace slipway
