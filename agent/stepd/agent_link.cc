// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/agent_link.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/log/log.h"

namespace slipway {

AgentLink::~AgentLink() {
  *alive_ = false;
  if (socket_) loop_.Unwatch(socket_watch_);
}

void AgentLink::Adopt(Opening opening) {
  Drop();
  auto watch = loop_.Watch(opening.socket.get(), EPOLLIN, [this](std::uint32_t events) { OnSocket(events); });
  if (!watch) return;
  socket_ = std::move(opening.socket);
  reader_ = std::move(opening.reader);
  socket_watch_ = *watch;
  auto handled = Handle(opening.frame);
  if (handled) handled = HandleFrames();
  if (!handled) DropFor(handled.error());
}

void AgentLink::OnSocket(std::uint32_t epoll_events) {
  if (epoll_events & EPOLLOUT) Flush();
  if (!socket_ || !(epoll_events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  if (auto read = Read(); !read) DropFor(read.error());
}

void AgentLink::DropFor(const Error& error) {
  if (error.code != Code::kUnavailable)
    Log(Level::kWarn, "the agent's connection", {{"error", error.message}});
  Drop();
}

Result<> AgentLink::Read() {
  char buffer[64 << 10];
  ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return {};
  if (got < 0) return ErrnoFail("recv");
  if (got == 0) return Fail(Code::kUnavailable, "closed");
  reader_.Feed({buffer, static_cast<std::size_t>(got)});
  return HandleFrames();
}

Result<> AgentLink::HandleFrames() {
  int here = socket_.get();
  while (auto frame = TRY(reader_.Next())) {
    TRY(Handle(*frame));
    if (socket_.get() != here) break;  // let go meanwhile
  }
  return {};
}

Result<> AgentLink::Handle(std::string_view bytes) {
  auto frame = TRY(SplitFrame<StepFrame>(bytes));
  if (frame.kind != StepFrame::kAttach) {
    if (!attached_)
      return Fail(Code::kFailedPrecondition, "frame ", static_cast<int>(frame.kind), " before kAttach");
    return events_.frame(frame.kind, frame.payload);
  }
  auto attach = TRY(Decode<StepAttach>(frame.payload, "attach"));
  if (attach.version != 1)
    return Fail(Code::kUnimplemented, "the agent speaks version ", attach.version,
                " of the step protocol, this stepd 1");
  attached_ = true;
  events_.attached();
  return {};
}

void AgentLink::Queue(const std::string& bytes, bool soon) {
  if (queued_bytes() + bytes.size() > kQueueBytesMax) {
    Log(Level::kWarn, "the agent does not read; letting it go", {{"queued_bytes", queued_bytes()}});
    loop_.Post([this] { Drop(); });
    attached_ = false;
    return;
  }
  outgoing_ += bytes;
  if (writing_) return;
  if (!soon) return Flush();
  if (std::exchange(flush_comes_, true)) return;
  loop_.Post([this, alive = alive_] {
    if (!*alive) return;
    flush_comes_ = false;
    if (socket_) Flush();
  });
}

void AgentLink::Flush() {
  while (sent_ < outgoing_.size()) {
    ssize_t wrote = ::send(socket_.get(), outgoing_.data() + sent_, outgoing_.size() - sent_,
                           MSG_NOSIGNAL | MSG_DONTWAIT);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno != EAGAIN) break;  // reading will tell
    if (wrote < 0) break;
    sent_ += static_cast<std::size_t>(wrote);
  }
  if (sent_ == outgoing_.size()) {
    outgoing_.clear();
    sent_ = 0;
  } else if (sent_ > (1 << 20)) {
    outgoing_.erase(0, sent_);
    sent_ = 0;
  }
  bool more = !outgoing_.empty();
  if (more == writing_) return;
  writing_ = more;
  (void)loop_.Rewatch(socket_watch_, more ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void AgentLink::Drop() {
  if (!socket_) return;
  loop_.Unwatch(socket_watch_);
  socket_.reset();
  outgoing_.clear();
  sent_ = 0;
  writing_ = attached_ = false;
  events_.detached();
}

}  // namespace slipway
