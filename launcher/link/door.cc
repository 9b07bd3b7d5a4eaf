// SPDX-License-Identifier: Apache-2.0
#include "launcher/link/door.h"

#include <sys/epoll.h>

#include <cerrno>

namespace slipway {

Door::Door(Loop& loop, UniqueFd listener, std::size_t frame_bytes_max, Events events)
    : loop_(loop),
      listener_(std::move(listener)),
      frame_bytes_max_(frame_bytes_max),
      events_(std::move(events)) {}

Door::~Door() {
  for (auto& [id, caller] : waiting_) loop_.Unwatch(caller.watch);
  if (listener_watch_.value != 0) loop_.Unwatch(listener_watch_);
}

Result<> Door::Start() {
  TRY(SetNonblocking(listener_.get()));
  listener_watch_ = TRY(loop_.Watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { OnListener(); }));
  return {};
}

void Door::OnListener() {
  auto connection = AcceptUnix(listener_.get());
  if (!connection) return;
  auto peer = PeerOf(connection->get());
  if (!peer || !events_.may_enter(*peer) || !SetNonblocking(connection->get())) return;
  if (waiting_.size() >= kWaitingMax) Drop(waiting_.begin()->first);
  std::uint64_t id = next_id_++;
  auto watch = loop_.Watch(connection->get(), EPOLLIN, [this, id](std::uint32_t) { OnReadable(id); });
  if (!watch) return;
  waiting_.emplace(id, Caller{.opening = {.peer = *peer,
                                          .socket = std::move(*connection),
                                          .reader = FrameReader(frame_bytes_max_)},
                              .watch = *watch});
}

void Door::OnReadable(std::uint64_t id) {
  auto at = waiting_.find(id);
  if (at == waiting_.end()) return;
  auto whole = Read(at->second.opening);
  if (whole && !*whole) return;
  Opening opening = std::move(at->second.opening);
  Drop(id);
  if (whole) events_.opened(std::move(opening));
}

// True when the first frame is there.
Result<bool> Door::Read(Opening& opening) {
  auto message = ReceiveMessage(opening.socket.get());
  if (!message && message.error().sys_errno == EAGAIN) return false;
  if (!message) return Failure(std::move(message).error());
  for (UniqueFd& fd : message->fds) opening.fds.push_back(std::move(fd));
  if (opening.fds.size() > kFdsMax) return Fail(Code::kResourceExhausted, opening.fds.size(), " descriptors");
  opening.reader.Feed(message->bytes);
  auto frame = TRY(opening.reader.Next());
  if (!frame) return false;
  opening.frame = std::move(*frame);
  return true;
}

void Door::Drop(std::uint64_t id) {
  auto at = waiting_.find(id);
  loop_.Unwatch(at->second.watch);
  waiting_.erase(at);
}

}  // namespace slipway
