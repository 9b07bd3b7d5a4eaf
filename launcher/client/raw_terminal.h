// SPDX-License-Identifier: Apache-2.0
// Our terminal while somebody else's program is on it: every key goes there as it is, Ctrl-C too, and whoever
// typed it gets his terminal back as it was, however that ends.
#pragma once

#include <termios.h>

#include "base/result/result.h"

namespace slipway {

class RawTerminal {
 public:
  // `fd`: borrowed, a terminal; nothing is changed yet.
  static Result<RawTerminal> Of(int fd);
  RawTerminal(RawTerminal&& other) noexcept;
  RawTerminal& operator=(RawTerminal&&) = delete;
  ~RawTerminal() { End(); }

  Result<> Begin();
  // As it was before. From any thread, and again; does not wait for output that nobody takes.
  void End();
  bool raw() const { return raw_; }
  const termios& before() const { return before_; }

 private:
  explicit RawTerminal(int fd) : fd_(fd) {}
  int fd_;
  termios before_{};
  bool raw_ = false;
};

}  // namespace slipway
