// SPDX-License-Identifier: Apache-2.0
// In the brokered way the container is not of our session, so our terminal cannot control it. It gets one of
// its own, and what is typed and shown is carried between the two: ours is raw meanwhile, so that Ctrl-C and
// Ctrl-Z mean the container's, and nothing inside can push characters into ours (CVE-2017-5226).
#pragma once

#include <poll.h>
#include <termios.h>

#include <string>
#include <vector>

#include "base/os/fd.h"

namespace slipway {

class TerminalRelay {
 public:
  // `terminal_fd` (borrowed): ours, in the foreground. It is raw until the relay goes.
  static Result<TerminalRelay> Make(int terminal_fd);
  TerminalRelay(TerminalRelay&&) noexcept = default;
  TerminalRelay& operator=(TerminalRelay&&) = delete;
  ~TerminalRelay();

  int theirs() const { return theirs_.get(); }  // for the task's streams
  void LetTheirsGo() { theirs_.reset(); }       // once it was sent: the end of the last task must be seen
  std::vector<pollfd> Wanted() const;           // two, for poll; Carry takes them back
  void Carry(const std::vector<pollfd>& ready);
  void TakeSize();  // on SIGWINCH
  // What the container wrote before its end and we have not shown yet.
  void Drain();

 private:
  TerminalRelay(int terminal_fd, UniqueFd ours, UniqueFd theirs)
      : terminal_fd_(terminal_fd), ours_(std::move(ours)), theirs_(std::move(theirs)) {}
  bool Show();
  int terminal_fd_;
  UniqueFd ours_, theirs_;
  UniqueFd restores_;  // open: the terminal has to be put back
  termios before_{};
  std::string typed_;  // not taken by the container yet
  bool typing_ended_ = false;
};

}  // namespace slipway
