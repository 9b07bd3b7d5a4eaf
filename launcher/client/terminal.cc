// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <cstdlib>

namespace slipway {

Result<TerminalRelay> TerminalRelay::Make(int terminal_fd) {
  UniqueFd ours(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!ours || ::grantpt(ours.get()) < 0 || ::unlockpt(ours.get()) < 0) return ErrnoFail("making a terminal");
  UniqueFd theirs(::ioctl(ours.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!theirs) return ErrnoFail("opening a terminal's other side");
  TRY(SetNonblocking(ours.get()));
  TerminalRelay relay(terminal_fd, std::move(ours), std::move(theirs));
  if (::tcgetattr(terminal_fd, &relay.before_) < 0) return ErrnoFail("tcgetattr");
  if (::tcsetattr(relay.theirs(), TCSANOW, &relay.before_) < 0) return ErrnoFail("tcsetattr");
  relay.TakeSize();
  termios raw = relay.before_;
  ::cfmakeraw(&raw);
  relay.restores_ = TRY(Dup(terminal_fd));
  if (::tcsetattr(terminal_fd, TCSADRAIN, &raw) < 0) return ErrnoFail("tcsetattr");
  return relay;
}

TerminalRelay::~TerminalRelay() {
  if (restores_) ::tcsetattr(restores_.get(), TCSADRAIN, &before_);
}

void TerminalRelay::TakeSize() {
  winsize size;
  if (::ioctl(terminal_fd_, TIOCGWINSZ, &size) == 0) ::ioctl(ours_.get(), TIOCSWINSZ, &size);
}

std::vector<pollfd> TerminalRelay::Wanted() const {
  bool room = typed_.empty() && !typing_ended_;
  auto events = static_cast<short>(POLLIN | (typed_.empty() ? 0 : POLLOUT));
  return {{room ? terminal_fd_ : -1, POLLIN, 0}, {ours_.get(), events, 0}};
}

// False when there is nothing more at the moment, or never will be.
bool TerminalRelay::Show() {
  char chunk[4096];
  ssize_t n = ::read(ours_.get(), chunk, sizeof chunk);
  if (n < 0 && errno == EINTR) return true;
  // The last one who had the other side open has gone.
  if (n < 0 && errno == EIO) ours_.reset();
  return n > 0 && WriteAll(terminal_fd_, {chunk, static_cast<std::size_t>(n)});
}

void TerminalRelay::Carry(const std::vector<pollfd>& ready) {
  if (ready[0].revents != 0) {
    char chunk[1024];
    ssize_t n = ::read(terminal_fd_, chunk, sizeof chunk);
    if (n > 0) typed_.append(chunk, static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) typing_ended_ = true;
  }
  if (!typed_.empty() && ours_) {
    ssize_t n = ::write(ours_.get(), typed_.data(), typed_.size());
    if (n > 0) typed_.erase(0, static_cast<std::size_t>(n));
    if (n < 0 && errno != EAGAIN && errno != EINTR) typed_.clear();
  }
  if (ready[1].revents != 0) Show();
  if (typing_ended_) ours_.reset();  // our terminal was hung up: so is theirs
}

void TerminalRelay::Drain() {
  theirs_.reset();
  while (ours_ && Show()) {
  }
}

}  // namespace slipway
