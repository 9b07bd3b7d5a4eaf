// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/rank_terminal.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/os/socket.h"

namespace slipway {

Result<UniqueFd> RankTerminal::Expect(std::uint32_t rank) {
  SocketEnds ends = TRY(MakeSocketPair(SOCK_SEQPACKET));
  TRY(SetNonblocking(ends.a.get()));
  watch_ = TRY(loop_.Watch(ends.a.get(), EPOLLIN, [this](std::uint32_t) { OnSocket(); }));
  socket_ = std::move(ends.a);
  stream_ = output_.Expect(rank, 1);
  return std::move(ends.b);
}

// The user's container speaks here: anything but one terminal is none. It closes at the rank's exec, or when
// the rank never comes that far.
void RankTerminal::OnSocket() {
  auto message = ReceiveMessage(socket_.get());
  if (!message && message.error().sys_errno == EAGAIN) return;
  Forget();
  winsize size{};
  UniqueFd outer;
  if (message && message->fds.size() == 1 && ::ioctl(message->fds[0].get(), TIOCGWINSZ, &size) == 0)
    outer = std::move(message->fds[0]);
  UniqueFd typed;
  if (outer) {
    terminal_ = Dup(outer.get()).value_or(UniqueFd());
    typed = Dup(outer.get()).value_or(UniqueFd());
  }
  if (size_.rows != 0 || size_.columns != 0) Resize(size_);
  input_.Settle(std::move(typed));
  output_.Settle(stream_, std::move(outer));
}

void RankTerminal::Resize(TerminalSize size) {
  size_ = size;
  winsize now{.ws_row = size.rows, .ws_col = size.columns};
  if (terminal_) (void)::ioctl(terminal_.get(), TIOCSWINSZ, &now);
}

void RankTerminal::Forget() {
  if (socket_) loop_.Unwatch(watch_);
  socket_.reset();
}

}  // namespace slipway
