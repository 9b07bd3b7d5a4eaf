// SPDX-License-Identifier: Apache-2.0
// A step's two processes are made before anything about them is on record, and must not outlive a broker that
// is killed in between. So each is born behind a gate: it prepares itself, reports, and goes on only when it
// is told to; a gate that closes ends it. The broker writes its record while both wait. Its user may stop it
// once it is his: a child that stands still, or takes too long, is given up, or it would hold all of the
// node.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/os/process.h"
#include "base/os/socket.h"

namespace slipway {

// The child's side. Errors go out as one line and end the process: nothing half-built goes on.
class Gate {
 public:
  explicit Gate(int fd) : fd_(fd) {}
  int fd() const { return fd_; }
  void Require(const Result<>& result) const;   // reports the error and _exits when there is one
  void Check(bool ok, const char* what) const;  // the same with errno
  // Before an exec: `fds` become `first`, `first` + 1 …, what else is below 16 and above them is closed, and
  // the gate, moved out of their way, goes with the exec.
  Gate Place(std::vector<int> fds, int first) const;
  void Say(char word) const;
  void Await(char word) const;

 private:
  int fd_;
};

// In the child, once it is the user: a session keyring of its own, since the broker's would stay in reach
// through inheritance. A kernel without keyrings has none to protect.
void LeaveSessionKeyring();

// The parent's side.
enum class Surroundings {
  kOwn,      // a session of its own in /, signals at their defaults, streams on /dev/null and the log
  kCallers,  // session, terminal, streams and folder of whoever called us (the setuid way)
};
struct HalfBornOptions {
  CloneOptions clone;
  std::vector<int> keep;  // what stays open in the child, beside the gate and 0-2
  Surroundings surroundings = Surroundings::kOwn;
  int log_fd = -1;                             // the child's stdout and stderr; -1: /dev/null
  bool takes_limits = false;                   // kOwn: of somebody, the out-of-memory score too
  std::chrono::milliseconds patience{10'000};  // until it has said what it is heard for
};

class HalfBorn {
 public:
  // `body` runs in the child and must not return.
  static Result<HalfBorn> Make(const HalfBornOptions& options, const std::function<void(const Gate&)>& body);
  HalfBorn(HalfBorn&&) noexcept = default;
  HalfBorn& operator=(HalfBorn&&) noexcept = default;
  ~HalfBorn() { End(); }

  pid_t pid() const { return process_.pid(); }
  int pidfd() const { return process_.pidfd(); }
  Result<> Hear(char word);  // the child's error when it sends one instead; kDeadlineExceeded: given up
  // It has said kReady. Who makes two children hears them when both are on their way.
  Result<> HearReady() { return Hear(kReady); }
  Result<> Tell(char word);
  // The child has gone on and exec'ed (or closed the gate); what it reported if that failed.
  Result<> HearItClose();
  Process Release() { return std::move(process_); }  // it lives on without us

  // The child's last word before it waits for kGo.
  static constexpr char kReady = 'r', kGo = 'g';

 private:
  HalfBorn(Process process, UniqueFd gate, std::chrono::milliseconds patience)
      : process_(std::move(process)), gate_(std::move(gate)), patience_(patience) {}
  void End();
  Process process_;
  UniqueFd gate_;
  std::chrono::milliseconds patience_;
};

}  // namespace slipway
