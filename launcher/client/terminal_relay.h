// SPDX-License-Identifier: Apache-2.0
// A process that is not our child cannot have our terminal as its controlling one: no job control, no Ctrl-C.
// It gets a terminal of its own (a pty), and everything is carried between that and ours, which is raw
// meanwhile. Ours is given back as it was by the destructor.
//
// One thread; the owner polls.
#pragma once

#include <poll.h>

#include <string>

#include "base/os/fd.h"
#include "launcher/client/raw_terminal.h"

namespace slipway {

class TerminalRelay {
 public:
  // Of the size and settings of the terminal `input_fd` (borrowed); what comes back is written to
  // `output_fd`.
  static Result<TerminalRelay> Open(int input_fd, int output_fd);
  TerminalRelay(TerminalRelay&& other) noexcept = default;

  // The process's side. To be let go of once it has been handed on, or the end is never seen.
  int process_fd() const { return process_side_.get(); }
  void ReleaseProcessSide() { process_side_.reset(); }

  Result<> Begin() { return ours_.Begin(); }  // it becomes raw
  // What to poll for, and what to do with what poll said of it.
  static constexpr std::size_t kPolled = 2;
  void Prepare(pollfd* two) const;
  void Handle(const pollfd* two);
  void Resize();  // on SIGWINCH
  // What the process wrote before it ended, without waiting for who may still hold its side.
  void Drain();

 private:
  TerminalRelay(int input_fd, int output_fd, RawTerminal ours)
      : input_fd_(input_fd), output_fd_(output_fd), ours_(std::move(ours)) {}
  bool Carry();  // one piece of output
  void Flush();

  int input_fd_, output_fd_;
  RawTerminal ours_;
  UniqueFd master_, process_side_;
  bool input_ended_ = false, output_ended_ = false;
  std::string typed_;  // not taken by the process yet
};

}  // namespace slipway
