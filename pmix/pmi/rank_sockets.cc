// SPDX-License-Identifier: Apache-2.0
#include "pmix/pmi/rank_sockets.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/os/socket.h"

namespace slipway {

RankSockets::~RankSockets() {
  for (auto& [rank, ours] : sockets_) loop_.Unwatch(ours.watch);
}

Result<UniqueFd> RankSockets::Open(std::uint32_t rank) {
  SocketEnds ends = TRY(MakeSocketPair(SOCK_STREAM));
  TRY(SetNonblocking(ends.a.get()));  // ours alone: the flag is of the one end
  TRY(Adopt(rank, std::move(ends.a)));
  return std::move(ends.b);
}

Result<> RankSockets::Adopt(std::uint32_t rank, UniqueFd fd) {
  auto watch =
      TRY(loop_.Watch(fd.get(), EPOLLIN, [this, rank](std::uint32_t events) { OnSocket(rank, events); }));
  sockets_.insert_or_assign(rank, Ours{.fd = std::move(fd), .watch = watch});
  return {};
}

void RankSockets::Send(std::uint32_t rank, std::string bytes) {
  auto at = sockets_.find(rank);
  if (at == sockets_.end()) return;
  at->second.outgoing += bytes;
  if (!Flush(at->second) || at->second.outgoing.size() > kUnreadBytesMax) {
    // Not here: the caller may be in the middle of an answer to this rank.
    loop_.Post([this, rank] { Close(rank); });
  }
}

// False when nobody will read it any more.
bool RankSockets::Flush(Ours& ours) {
  bool was_waiting = false;
  while (!ours.outgoing.empty()) {
    ssize_t sent = ::send(ours.fd.get(), ours.outgoing.data(), ours.outgoing.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent < 0) {
      was_waiting = true;
      break;
    }
    ours.outgoing.erase(0, static_cast<std::size_t>(sent));
  }
  return loop_.Rewatch(ours.watch, was_waiting ? EPOLLIN | EPOLLOUT : EPOLLIN).has_value();
}

void RankSockets::OnSocket(std::uint32_t rank, std::uint32_t epoll_events) {
  auto at = sockets_.find(rank);
  if (at == sockets_.end()) return;
  if ((epoll_events & EPOLLOUT) != 0 && !Flush(at->second)) return Close(rank);
  if ((epoll_events & ~static_cast<std::uint32_t>(EPOLLOUT)) == 0) return;
  char buffer[16 << 10];
  ssize_t got = ::recv(at->second.fd.get(), buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return Close(rank);
  events_.received(rank, {buffer, static_cast<std::size_t>(got)});
}

void RankSockets::Close(std::uint32_t rank) {
  auto at = sockets_.find(rank);
  if (at == sockets_.end()) return;
  loop_.Unwatch(at->second.watch);
  sockets_.erase(at);
  events_.closed(rank);
}

}  // namespace slipway
