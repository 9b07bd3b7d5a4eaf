// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/raw_terminal.h"

#include <utility>

namespace slipway {

Result<RawTerminal> RawTerminal::Of(int fd) {
  RawTerminal terminal(fd);
  if (::tcgetattr(fd, &terminal.before_) < 0) return ErrnoFail("reading the terminal's settings");
  return terminal;
}

RawTerminal::RawTerminal(RawTerminal&& other) noexcept
    : fd_(other.fd_), before_(other.before_), raw_(std::exchange(other.raw_, false)) {}

Result<> RawTerminal::Begin() {
  termios raw = before_;
  ::cfmakeraw(&raw);
  if (::tcsetattr(fd_, TCSADRAIN, &raw) < 0) return ErrnoFail("setting the terminal");
  raw_ = true;
  return {};
}

void RawTerminal::End() {
  if (raw_) ::tcsetattr(fd_, TCSANOW, &before_);
  raw_ = false;
}

}  // namespace slipway
