// SPDX-License-Identifier: Apache-2.0
#include "launcher/link/init_link.h"

#include <sys/epoll.h>

#include "base/os/socket.h"

namespace slipway {

InitLink::InitLink(Loop& loop, UniqueFd control, Events events)
    : loop_(loop), control_(std::move(control)), events_(std::move(events)) {}

InitLink::~InitLink() {
  if (control_) loop_.Unwatch(watch_);
}

Result<> InitLink::Start() {
  TRY(SetNonblocking(control_.get()));
  watch_ = TRY(loop_.Watch(control_.get(), EPOLLIN, [this](std::uint32_t events) { OnSocket(events); }));
  return {};
}

Result<> InitLink::Launch(const LaunchSpec& spec, std::vector<UniqueFd> fds, bool idle) {
  task_count_ = idle ? 0 : static_cast<std::uint32_t>(spec.tasks.size());
  std::vector<UniqueFd> memfd;
  memfd.push_back(TRY(MakeSealedMemfd("slipway-launch", EncodeLaunchSpec(spec))));
  Send(EncodeFrame(InitFrame::kLaunch, LaunchRequest{.idle = idle}), std::move(memfd));
  for (std::size_t at = 0; at < fds.size();) {
    std::vector<UniqueFd> some;
    while (at < fds.size() && some.size() < kMessageFdsMax) some.push_back(std::move(fds[at++]));
    WireWriter kind;
    kind(static_cast<std::uint16_t>(InitFrame::kFds));
    Send(kind.Take(), std::move(some));
  }
  return {};
}

void InitLink::Add(RunTask request, std::vector<UniqueFd> fds) {
  Send(EncodeFrame(InitFrame::kRunTask, request), std::move(fds));
}

void InitLink::Finish(std::int32_t signal_number) {
  Send(EncodeFrame(InitFrame::kFinish, TaskFinish{signal_number}), {});
}

void InitLink::Signal(std::int32_t task, std::int32_t signal_number) {
  Send(EncodeFrame(InitFrame::kSignal, TaskSignal{.task = task, .signal_number = signal_number}), {});
}

void InitLink::Send(std::string bytes, std::vector<UniqueFd> fds) {
  if (!control_) return;
  outgoing_.push_back({std::move(bytes), std::move(fds)});
  Flush();
}

void InitLink::Flush() {
  while (!outgoing_.empty()) {
    std::vector<int> fds;
    for (const UniqueFd& fd : outgoing_.front().fds) fds.push_back(fd.get());
    auto sent = SendMessage(control_.get(), outgoing_.front().bytes, fds);
    if (!sent && sent.error().sys_errno == EAGAIN) break;
    outgoing_.pop_front();  // an error that lasts is seen by the reading side
  }
  (void)loop_.Rewatch(watch_, outgoing_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

void InitLink::OnSocket(std::uint32_t epoll_events) {
  if (epoll_events & EPOLLOUT) Flush();
  while (control_) {
    auto message = ReceiveMessage(control_.get());
    if (!message && message.error().sys_errno == EAGAIN) return;
    if (!message)
      return Close(message.error().code == Code::kUnavailable ? "closed" : message.error().message);
    auto handled = Handle(message->bytes);
    if (!handled) return Close(handled.error().message);
  }
}

Result<> InitLink::Handle(std::string_view message) {
  auto frame = TRY(SplitFrame<InitFrame>(message));
  switch (frame.kind) {
    case InitFrame::kReady:
      events_.ready(TRY(Decode<InitReady>(frame.payload, "ready")));
      return {};
    case InitFrame::kStarted: {
      auto started = TRY(Decode<TaskStarted>(frame.payload, "started"));
      if (started.task >= kAddedTaskFirst) {
        if (events_.added_started) events_.added_started(started);
        return {};
      }
      if (started.task >= task_count_)
        return Fail(Code::kInvalidArgument, "the init speaks of task ", started.task);
      events_.started(started.task);
      return {};
    }
    case InitFrame::kExited: {
      auto exited = TRY(Decode<TaskExited>(frame.payload, "exited"));
      if (exited.task >= kAddedTaskFirst) {
        if (events_.added_exited) events_.added_exited(exited);
        return {};
      }
      if (exited.task >= task_count_)
        return Fail(Code::kInvalidArgument, "the init speaks of task ", exited.task);
      events_.exited(exited.task, exited.wait_status);
      return {};
    }
    case InitFrame::kHookPoint: {
      auto point = TRY(Decode<HookPoint>(frame.payload, "hook point"));
      if (!events_.hook_point) return Fail(Code::kInternal, "the init asks for hooks that nobody set");
      TRY(events_.hook_point(std::move(point)));
      WireWriter ran;
      ran(static_cast<std::uint16_t>(InitFrame::kHooksRan));
      Send(ran.Take(), {});
      return {};
    }
    case InitFrame::kTaskFailed: {
      auto failed = TRY(Decode<TaskFailed>(frame.payload, "task failed"));
      if (events_.added_failed) events_.added_failed(std::move(failed));
      return {};
    }
    case InitFrame::kFailed:
      events_.failed(TRY(Decode<InitFailed>(frame.payload, "failed")));
      return {};
    case InitFrame::kWarning:
      events_.warning(TRY(Decode<std::string>(frame.payload, "warning")));
      return {};
    default:
      return Fail(Code::kInvalidArgument, "the init sent frame ", static_cast<int>(frame.kind));
  }
}

void InitLink::Close(std::string why) {
  if (!control_) return;
  loop_.Unwatch(watch_);
  control_.reset();
  outgoing_.clear();
  events_.gone(std::move(why));
}

}  // namespace slipway
