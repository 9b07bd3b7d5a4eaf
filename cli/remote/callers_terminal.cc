// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/callers_terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>

namespace slipway::cli {

CallersTerminal& CallersTerminal::Instance() {
  static auto* const instance = new CallersTerminal;  // threads use it until the process has gone
  return *instance;
}

v1::TerminalSize CallersTerminal::Size() const {
  winsize size{};
  v1::TerminalSize told;
  if (::ioctl(0, TIOCGWINSZ, &size) < 0) return told;
  told.set_rows(size.ws_row);
  told.set_columns(size.ws_col);
  return told;
}

void CallersTerminal::Begin() {
  std::lock_guard lock(mutex_);
  if (has_begun_ || ended_) return;
  has_begun_ = true;
  begun_.notify_all();
  auto terminal = RawTerminal::Of(0);
  if (!terminal || ::tcgetpgrp(0) != ::getpgrp()) return;
  ::signal(SIGTTOU, SIG_IGN);  // giving it back must not stop us, wherever we are then
  raw_.emplace(std::move(*terminal));
  (void)raw_->Begin();
}

void CallersTerminal::WaitForBegin() {
  std::unique_lock lock(mutex_);
  begun_.wait(lock, [this] { return has_begun_; });
}

void CallersTerminal::End() {
  std::lock_guard lock(mutex_);
  ended_ = true;
  if (raw_) raw_->End();
}

std::string CallersTerminal::Lines(std::string text) const {
  std::lock_guard lock(mutex_);
  if (!raw_ || !raw_->raw()) return text;
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) text.insert(at, 1, '\r');
  return text;
}

}  // namespace slipway::cli
