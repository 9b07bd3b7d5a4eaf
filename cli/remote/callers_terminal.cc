// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/callers_terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>

namespace slipway::cli {
namespace {

constexpr std::chrono::milliseconds kReadWithin(200);

}  // namespace

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

ssize_t CallersTerminal::Read(char* into, std::size_t size) {
  for (;;) {
    bool in_front = ::isatty(0) != 1 || ::tcgetpgrp(0) == ::getpgrp();
    pollfd two[] = {{in_front ? 0 : -1, POLLIN, 0}, {end_ ? end_->read.get() : -1, POLLIN, 0}};
    if (::poll(two, 2, in_front ? -1 : 200) < 0 && errno != EINTR) return -1;
    if (two[1].revents != 0) return 0;
    if (two[0].revents == 0) continue;
    // Only what is there already, and not beside End(): a read that waited would take what is not ours any
    // more.
    std::lock_guard lock(reading_);
    pollfd now[] = {{0, POLLIN, 0}, {two[1].fd, POLLIN, 0}};
    if (::poll(now, 2, 0) < 0 || now[1].revents != 0) return 0;
    if (now[0].revents != 0) return ::read(0, into, size);
  }
}

void CallersTerminal::End() {
  std::lock_guard lock(mutex_);
  ended_ = true;
  if (end_) end_->write.reset();
  // Another program that shares our input may have taken what we saw; then the read waits, and we do not.
  std::unique_lock not_reading(reading_, kReadWithin);
  if (raw_) raw_->End();
}

std::string CallersTerminal::Lines(std::string text) const {
  std::lock_guard lock(mutex_);
  if (!raw_ || !raw_->raw()) return text;
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) text.insert(at, 1, '\r');
  return text;
}

}  // namespace slipway::cli
