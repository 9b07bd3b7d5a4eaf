// SPDX-License-Identifier: Apache-2.0
// Processes that are asked for while the container runs (kRunTask): `exec instance://`, `exec --job`. Each is
// a fork of the init like the tasks it began with, so that nothing about it differs but who asked; a request
// that makes no sense is answered, and never ends the container.
#pragma once

#include <sys/types.h>

#include <map>
#include <string_view>

#include "base/os/fd.h"
#include "base/os/socket.h"
#include "launcher/container/environment.h"
#include "launcher/container/report.h"
#include "launcher/spec/launch_spec.h"
#include "launcher/spec/task_order.h"

namespace slipway {

class AddedTasks {
 public:
  // What is borrowed outlives it: the container's spec and environment, on which each task builds.
  static Result<AddedTasks> Make(const LaunchSpec& spec, const Environment& env, Report& report);

  // Of a kRunTask: forks it and reports kStarted, or kTaskFailed. `fds`: the memfd and its streams. An error
  // when the report cannot be sent.
  Result<> Run(const RunTask& request, std::vector<UniqueFd> fds);
  // False when `pid` is none of these; else its end has been reported.
  Result<bool> Ended(pid_t pid, int wait_status);
  void Signal(std::uint32_t task, int signal_number);
  void SignalAll(int signal_number);
  bool empty() const { return tasks_.empty(); }
  bool has_members() const { return members_ > 0; }  // for whom the container stays

  int failures_fd() const { return failures_.read.get(); }  // readable: ReadFailures
  Result<> ReadFailures();

 private:
  struct Running {
    pid_t pid = -1;
    bool member = false;
    bool failed = false;  // and reported as such
  };
  AddedTasks(const LaunchSpec& spec, const Environment& env, Report& report, PipeEnds failures)
      : spec_(&spec), env_(&env), report_(&report), failures_(std::move(failures)) {}
  Result<pid_t> Start(std::uint32_t number, std::vector<UniqueFd> fds);
  [[noreturn]] void Become(std::uint32_t number, const TaskOrder& order,
                           const std::vector<UniqueFd>& streams);
  Result<Environment> EnvironmentOf(const TaskOrder& order) const;

  const LaunchSpec* spec_;
  const Environment* env_;
  Report* report_;
  PipeEnds failures_;  // TaskFailure records of all of them
  std::map<std::uint32_t, Running> tasks_;
  std::size_t members_ = 0;
};

}  // namespace slipway
