// SPDX-License-Identifier: Apache-2.0
#include "launcher/link/visitors.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>

#include "launcher/spec/task_order.h"

namespace slipway {
namespace {

// The answers are few and small: a socket that does not take them has a peer that has gone.
template <class T>
void Say(int socket_fd, TaskFrame kind, const T& payload) {
  std::string bytes = WithLength(EncodeFrame(kind, payload));
  [[maybe_unused]] auto sent = ::send(socket_fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

Visitors::~Visitors() {
  for (auto& [number, visitor] : visitors_) {
    if (visitor.socket) loop_.Unwatch(visitor.watch);
    loop_.Cancel(visitor.kill_timer);
  }
}

void Visitors::TurnAway(const Opening& opening, const std::string& line) {
  Say(opening.socket.get(), TaskFrame::kFailed, InitFailed{.message = line});
}

// Numbers come again only after all others: an answer about an old one cannot be taken for a new one's.
std::uint32_t Visitors::FreeNumber() {
  auto advance = [this] { next_ = next_ + 1 == kSpawnedTaskFirst ? kAddedTaskFirst : next_ + 1; };
  while (visitors_.contains(next_)) advance();
  std::uint32_t number = next_;
  advance();
  return number;
}

void Visitors::Admit(Opening opening) {
  auto frame = SplitFrame<TaskFrame>(opening.frame);
  auto hello = frame ? Decode<TaskHello>(frame->payload, "hello") : Result<TaskHello>(Failure(frame.error()));
  if (!hello || hello->version != 1)
    return TurnAway(opening, "the request is of another version of Slipway than this container's");
  if (opening.fds.empty() || opening.fds.size() > 1 + kTaskStreamsMax)
    return TurnAway(opening, Cat("the request came with ", opening.fds.size(), " descriptors"));
  if (visitors_.size() >= kAddedTasksMax)
    return TurnAway(opening, Cat(kAddedTasksMax, " processes were added to this container already"));
  std::uint32_t number = FreeNumber();
  auto watch =
      loop_.Watch(opening.socket.get(), EPOLLIN, [this, number](std::uint32_t) { OnReadable(number); });
  if (!watch) return TurnAway(opening, watch.error().message);
  auto& visitor = visitors_[number];
  visitor.socket = std::move(opening.socket);
  visitor.reader = std::move(opening.reader);
  visitor.watch = *watch;
  init_.Add({.task = number}, std::move(opening.fds));
  if (!ReadFrames(number, visitor)) Leave(number);
}

void Visitors::OnReadable(std::uint32_t number) {
  auto at = visitors_.find(number);
  if (at != visitors_.end() && !Read(number, at->second)) Leave(number);
}

Result<> Visitors::Read(std::uint32_t number, Visitor& visitor) {
  char buffer[4096];
  ssize_t got = ::recv(visitor.socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return {};
  if (got <= 0) return Fail(Code::kUnavailable, "closed");
  visitor.reader.Feed({buffer, static_cast<std::size_t>(got)});
  return ReadFrames(number, visitor);
}

Result<> Visitors::ReadFrames(std::uint32_t number, Visitor& visitor) {
  while (auto bytes = TRY(visitor.reader.Next())) {
    auto frame = TRY(SplitFrame<TaskFrame>(*bytes));
    if (frame.kind != TaskFrame::kSignal)
      return Fail(Code::kInvalidArgument, "frame ", static_cast<int>(frame.kind));
    auto signal_number = TRY(Decode<std::int32_t>(frame.payload, "signal"));
    if (signal_number < 1 || signal_number > 64)
      return Fail(Code::kInvalidArgument, "signal ", signal_number);
    init_.Signal(static_cast<std::int32_t>(number), signal_number);
  }
  return {};
}

void Visitors::Leave(std::uint32_t number) {
  Visitor& visitor = visitors_.at(number);
  loop_.Unwatch(visitor.watch);
  visitor.socket.reset();
  auto task = static_cast<std::int32_t>(number);
  init_.Signal(task, SIGHUP);
  init_.Signal(task, SIGCONT);
  visitor.kill_timer = loop_.After(kGrace, [this, task] { init_.Signal(task, SIGKILL); });
}

template <class T>
void Visitors::Answer(std::uint32_t number, TaskFrame kind, const T& payload, bool last) {
  auto at = visitors_.find(number);
  if (at == visitors_.end()) return;
  Visitor& visitor = at->second;
  if (visitor.socket) Say(visitor.socket.get(), kind, payload);
  if (!last) return;
  if (visitor.socket) loop_.Unwatch(visitor.watch);
  loop_.Cancel(visitor.kill_timer);
  visitors_.erase(at);
}

void Visitors::OnStarted(const TaskStarted& started) {
  Answer(started.task, TaskFrame::kStarted, started, false);
}
void Visitors::OnExited(const TaskExited& exited) { Answer(exited.task, TaskFrame::kExited, exited, true); }
void Visitors::OnFailed(const TaskFailed& failed) {
  Answer(failed.task, TaskFrame::kFailed, InitFailed{failed.exit_code, failed.message}, true);
}
void Visitors::OnInitGone() {
  while (!visitors_.empty())
    Answer(visitors_.begin()->first, TaskFrame::kFailed, InitFailed{137, "the container has ended"}, true);
}

}  // namespace slipway
