// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal_relay.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace slipway {

Result<TerminalRelay> TerminalRelay::Open(int input_fd, int output_fd) {
  TerminalRelay relay(input_fd, output_fd, TRY(RawTerminal::Of(input_fd)));
  relay.master_.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!relay.master_ || ::grantpt(relay.master_.get()) < 0 || ::unlockpt(relay.master_.get()) < 0)
    return ErrnoFail("making a terminal");
  // By descriptor, not by name: another /dev/pts may be mounted there.
  relay.process_side_.reset(::ioctl(relay.master_.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!relay.process_side_) return ErrnoFail("opening the terminal made");
  if (::tcsetattr(relay.process_side_.get(), TCSANOW, &relay.ours_.before()) < 0)
    return ErrnoFail("setting the terminal made");
  relay.Resize();
  TRY(SetNonblocking(relay.master_.get()));
  return relay;
}

void TerminalRelay::Prepare(pollfd* two) const {
  short master_events = output_ended_ ? 0 : POLLIN;
  if (!typed_.empty() && !output_ended_) master_events |= POLLOUT;
  two[0] = {!input_ended_ && typed_.empty() ? input_fd_ : -1, POLLIN, 0};
  two[1] = {master_events != 0 ? master_.get() : -1, master_events, 0};
}

void TerminalRelay::Handle(const pollfd* two) {
  if (two[0].revents != 0) {
    char buffer[4096];
    ssize_t got = ::read(input_fd_, buffer, sizeof buffer);
    if (got > 0) typed_.assign(buffer, static_cast<std::size_t>(got));
    input_ended_ = got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
  }
  if (!typed_.empty()) Flush();
  if ((two[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0) Carry();
  if (input_ended_) master_.reset();  // ours was hung up: so is the process's
}

void TerminalRelay::Flush() {
  ssize_t wrote = ::write(master_.get(), typed_.data(), typed_.size());
  if (wrote > 0) typed_.erase(0, static_cast<std::size_t>(wrote));
  if (wrote < 0 && errno != EAGAIN && errno != EINTR) typed_.clear();  // nobody is there to read it
}

bool TerminalRelay::Carry() {
  char buffer[16 << 10];
  ssize_t got = ::read(master_.get(), buffer, sizeof buffer);
  if (got > 0) return static_cast<bool>(WriteAll(output_fd_, {buffer, static_cast<std::size_t>(got)}));
  // EIO: no process holds its side any more.
  if (got == 0 || (errno != EAGAIN && errno != EINTR)) output_ended_ = true;
  return false;
}

void TerminalRelay::Resize() {
  winsize size{};
  if (::ioctl(input_fd_, TIOCGWINSZ, &size) == 0) ::ioctl(master_.get(), TIOCSWINSZ, &size);
}

void TerminalRelay::Drain() {
  while (Carry()) {
  }
}

}  // namespace slipway
