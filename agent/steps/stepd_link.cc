// SPDX-License-Identifier: Apache-2.0
#include "agent/steps/stepd_link.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstring>
#include <utility>

#include "base/os/socket.h"

namespace slipway {

Result<std::unique_ptr<StepdLink>> StepdLink::Connect(Loop& loop, const std::string& path, Events events) {
  UniqueFd place = TRY(Open(path, O_PATH | O_NOFOLLOW));
  struct stat status {};
  if (::fstat(place.get(), &status) < 0) return ErrnoFail("fstat", path);
  if (!S_ISSOCK(status.st_mode)) return Fail(Code::kFailedPrecondition, path, " is not a socket");
  // Not blocking from the start: a full backlog, which the user can cause, must not stop the agent.
  UniqueFd socket =
      TRY_CONTEXT(ConnectUnix(Cat("/proc/self/fd/", place.get()), SOCK_STREAM | SOCK_NONBLOCK), path);
  std::unique_ptr<StepdLink> link(new StepdLink(loop, std::move(socket), std::move(events)));
  StepdLink* self = link.get();
  link->watched_events_ = EPOLLIN;
  link->watch_ =
      TRY(loop.Watch(link->socket_.get(), EPOLLIN, [self](std::uint32_t events) { self->OnSocket(events); }));
  return link;
}

StepdLink::~StepdLink() {
  *alive_ = false;
  if (socket_) loop_.Unwatch(watch_);
}

void StepdLink::Send(StepFrame kind) {
  WireWriter frame;
  frame(static_cast<std::uint16_t>(kind));
  Queue(WithLength(frame.Take()));
}

void StepdLink::Queue(const std::string& bytes, bool soon) {
  if (lost_) return;
  if (queued_bytes() + bytes.size() > kQueueBytesMax) return LoseSoon("it does not read what it is sent");
  outgoing_ += bytes;
  if (!soon) return Flush();
  if (std::exchange(flush_comes_, true)) return;
  loop_.Post([this, alive = alive_] {
    if (!*alive) return;
    flush_comes_ = false;
    Flush();
  });
}

void StepdLink::Flush() {
  while (!lost_ && sent_ < outgoing_.size()) {
    ssize_t n = ::send(socket_.get(), outgoing_.data() + sent_, outgoing_.size() - sent_,
                       MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    // What it said before it went is still to be read: the read side notices the end.
    if (n < 0) {
      sent_ = outgoing_.size();
      break;
    }
    sent_ += static_cast<std::size_t>(n);
  }
  if (sent_ == outgoing_.size()) {
    outgoing_.clear();
    sent_ = 0;
  } else if (sent_ > (1 << 20)) {
    outgoing_.erase(0, sent_);
    sent_ = 0;
  }
  Watch();
}

void StepdLink::Watch() {
  if (lost_) return;
  std::uint32_t wanted = (paused_ ? 0U : static_cast<std::uint32_t>(EPOLLIN)) |
                         (outgoing_.empty() ? 0U : static_cast<std::uint32_t>(EPOLLOUT));
  if (wanted == watched_events_) return;
  watched_events_ = wanted;
  if (auto watched = loop_.Rewatch(watch_, wanted); !watched) LoseSoon(watched.error().message);
}

void StepdLink::Pause(bool paused) {
  if (paused_ == paused) return;
  paused_ = paused;
  Watch();
  // Whole frames that were read before the pause are handed out from the loop.
  if (!paused) {
    loop_.Post([this, alive = alive_] {
      if (*alive && !lost_ && !paused_) Read();
    });
  }
}

void StepdLink::OnSocket(std::uint32_t epoll_events) {
  std::shared_ptr<bool> alive = alive_;
  if ((epoll_events & EPOLLOUT) != 0) Flush();
  if (!*alive || lost_) return;
  // A hang-up is reported even while paused, and would be again and again: it ends the pause.
  if ((epoll_events & (EPOLLHUP | EPOLLERR)) != 0) paused_ = false;
  if (!paused_) Read();
}

void StepdLink::Read() {
  std::shared_ptr<bool> alive = alive_;
  auto handle = events_.frame;  // ours may go with the link, from within it
  // At most this much a turn: one step must not keep the loop from the others.
  for (int turns_left = 16;; --turns_left) {
    while (!paused_) {
      auto frame = reader_.Next();
      if (!frame) return Lose(frame.error().message);
      if (!*frame) break;
      auto split = SplitFrame<StepFrame>(**frame);
      Result<> handled = split ? handle(split->kind, split->payload) : Result<>(Failure(split.error()));
      if (!*alive || lost_) return;
      if (!handled) return Lose(handled.error().message);
    }
    if (paused_ || turns_left == 0) return;
    char buffer[65536];
    ssize_t n = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (n < 0) return Lose(::strerror(errno));
    if (n == 0) return Lose("it closed the connection");
    reader_.Feed({buffer, static_cast<std::size_t>(n)});
    if (static_cast<std::size_t>(n) < sizeof buffer) turns_left = 1;  // the kernel had no more
  }
}

void StepdLink::Lose(std::string why) {
  if (lost_) return;
  lost_ = true;
  loop_.Unwatch(watch_);
  socket_.reset();
  auto lost = events_.lost;
  lost(std::move(why));
}

void StepdLink::LoseSoon(std::string why) {
  loop_.Post([this, alive = alive_, why = std::move(why)]() mutable {
    if (*alive) Lose(std::move(why));
  });
}

}  // namespace slipway
