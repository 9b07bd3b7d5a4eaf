// SPDX-License-Identifier: Apache-2.0
#include "base/loop/epoll_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace slipway {

Result<std::unique_ptr<EpollLoop>> EpollLoop::Make() {
  std::unique_ptr<EpollLoop> loop(new EpollLoop);
  loop->epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!loop->epoll_) return ErrnoFail("epoll_create1");
  loop->wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!loop->wake_) return ErrnoFail("eventfd");
  EpollLoop* self = loop.get();
  TRY(loop->Watch(loop->wake_.get(), EPOLLIN, [self](std::uint32_t) {
    std::uint64_t count;
    [[maybe_unused]] auto n = ::read(self->wake_.get(), &count, sizeof count);
  }));
  return loop;
}

void EpollLoop::Wake() {
  std::uint64_t one = 1;
  [[maybe_unused]] auto n = ::write(wake_.get(), &one, sizeof one);
}

void EpollLoop::Post(Task task) {
  bool wake;
  {
    std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
    wake = std::exchange(asleep_, false);
  }
  if (wake) Wake();
}

Loop::TimerId EpollLoop::After(Duration delay, Task task) {
  std::uint64_t id = next_id_++;
  timers_.emplace(Now() + std::max(delay, Duration::zero()), Timer{id, std::move(task)});
  return {id};
}

void EpollLoop::Cancel(TimerId timer) {
  auto at = std::find_if(timers_.begin(), timers_.end(),
                         [&](auto& entry) { return entry.second.id == timer.value; });
  if (at != timers_.end()) timers_.erase(at);
}

Result<Loop::WatchId> EpollLoop::Watch(int fd, std::uint32_t epoll_events, FdCallback callback) {
  std::uint64_t id = next_id_++;
  epoll_event event{};
  event.events = epoll_events;
  event.data.u64 = id;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) return ErrnoFail("epoll_ctl(ADD)");
  watches_.emplace(id, Watched{fd, std::make_shared<FdCallback>(std::move(callback))});
  return WatchId{id};
}

Result<> EpollLoop::Rewatch(WatchId watch, std::uint32_t epoll_events) {
  auto at = watches_.find(watch.value);
  if (at == watches_.end()) return Fail(Code::kNotFound, "no such watch");
  epoll_event event{};
  event.events = epoll_events;
  event.data.u64 = watch.value;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, at->second.fd, &event) < 0) return ErrnoFail("epoll_ctl(MOD)");
  return {};
}

void EpollLoop::Unwatch(WatchId watch) {
  auto at = watches_.find(watch.value);
  if (at == watches_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, at->second.fd, nullptr);
  watches_.erase(at);
}

void EpollLoop::RunPosted() {
  std::vector<Task> tasks;
  {
    std::lock_guard lock(mutex_);
    tasks.swap(posted_);
    if (stop_requested_) stopped_ = true;
  }
  for (Task& task : tasks) task();
}

void EpollLoop::RunDueTimers() {
  // Timers that a timer starts wait for the next round, so a zero delay cannot starve the descriptors.
  std::uint64_t last = next_id_;
  while (!timers_.empty() && timers_.begin()->first <= Now() && timers_.begin()->second.id < last) {
    Task task = std::move(timers_.begin()->second.task);
    timers_.erase(timers_.begin());
    task();
  }
}

int EpollLoop::MillisecondsToNextTimer() const {
  if (timers_.empty()) return -1;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first - Now()).count();
  return static_cast<int>(std::clamp<long long>(left, 0, std::numeric_limits<int>::max()));
}

void EpollLoop::Run() {
  stopped_ = false;
  while (!stopped_) {
    epoll_event events[64];
    bool work_waits;
    {
      std::lock_guard lock(mutex_);
      work_waits = !posted_.empty() || stop_requested_;
      asleep_ = !work_waits;
    }
    int n = ::epoll_wait(epoll_.get(), events, 64, work_waits ? 0 : MillisecondsToNextTimer());
    {
      std::lock_guard lock(mutex_);
      asleep_ = false;
    }
    for (int i = 0; i < n; ++i) {
      const std::uint64_t id = events[i].data.u64;  // they are packed: nothing may refer into one
      auto at = watches_.find(id);
      if (at == watches_.end()) continue;  // removed by an earlier callback of this round
      auto callback = at->second.callback;
      (*callback)(events[i].events);
    }
    RunDueTimers();
    RunPosted();
  }
  std::lock_guard lock(mutex_);
  stop_requested_ = false;
}

void EpollLoop::Stop() {
  bool wake;
  {
    std::lock_guard lock(mutex_);
    stop_requested_ = true;
    wake = std::exchange(asleep_, false);
  }
  if (wake) Wake();
}

Result<> EpollLoop::WatchSignals(const std::vector<int>& signals, std::function<void(int)> callback) {
  sigset_t set;
  sigemptyset(&set);
  for (int number : signals) sigaddset(&set, number);
  if (int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0)
    return Failure(ErrnoErrorOf(error, "pthread_sigmask"));
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return ErrnoFail("signalfd");
  TRY(Watch(signals_.get(), EPOLLIN, [this, callback = std::move(callback)](std::uint32_t) {
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) == sizeof info)
      callback(static_cast<int>(info.ssi_signo));
  }));
  return {};
}

}  // namespace slipway
