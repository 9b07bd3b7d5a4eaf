// SPDX-License-Identifier: Apache-2.0
// A pid may belong to somebody else by the time it is used; a pidfd may not. Process owns one child by pidfd.
// Clone3 is the one audited place for the raw system call (glibc 2.36 wraps neither it nor
// CLONE_INTO_CGROUP).
#pragma once

#include <sys/types.h>

#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/os/fd.h"
#include "base/result/result.h"

namespace slipway {

// How a process ended, as the shell counts it: its code, or 128 + the signal.
struct ExitStatus {
  int wait_status = 0;  // as of waitpid(2)
  bool signaled() const { return (wait_status & 0x7f) != 0; }
  int signal() const { return wait_status & 0x7f; }
  int exit_code() const { return signaled() ? 128 + signal() : (wait_status >> 8) & 0xff; }
};

class [[nodiscard]] Process {
 public:
  Process() = default;
  Process(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  Process(Process&&) noexcept = default;
  Process& operator=(Process&&) noexcept = default;

  // Of a process that is there already (a child or not).
  static Result<Process> Of(pid_t pid);

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // readable (EPOLLIN) once it has ended
  explicit operator bool() const { return static_cast<bool>(pidfd_); }

  Result<> Signal(int signal_number) const;
  Result<ExitStatus> Wait();                 // blocks; children only
  Result<std::optional<ExitStatus>> Poll();  // does not block
  bool IsStopped() const;                    // by a signal, since the last call; children only

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

struct CloneOptions {
  std::uint64_t flags = 0;  // CLONE_NEW…; CLONE_PIDFD and SIGCHLD are added
  int cgroup_fd = -1;       // ≥ 0: born in that cgroup (CLONE_INTO_CGROUP)
};
// fork(2) with namespaces: the parent gets the Process; the child gets an empty one (operator bool is false).
// In a threaded program the child may only make async-signal-safe calls until it execs.
Result<Process> Clone3(const CloneOptions& options);

struct SpawnOptions {
  std::vector<std::string> argv;                // argv[0] is looked up in PATH when it has no slash
  std::string program;                          // what is run instead of argv[0]; empty: that
  std::optional<std::vector<std::string>> env;  // unset: ours
  std::string cwd;                              // empty: ours
  // {theirs, ours}: descriptor `ours` becomes number `theirs`; 0, 1, 2 are inherited unless named; all others
  // close.
  std::vector<std::pair<int, int>> fds;
  bool new_session = false;
  int parent_death_signal = 0;
};
// fork + exec. A failed exec is reported here, not as an exit code.
Result<Process> Spawn(const SpawnOptions& options);

// Runs to the end with stdout captured (bounded to 16 MiB); stderr is ours. For helpers such as mmdebstrap.
struct Output {
  ExitStatus status;
  std::string out;
};
Result<Output> RunAndCapture(const SpawnOptions& options);

}  // namespace slipway
