// SPDX-License-Identifier: Apache-2.0
// The real side of Loop: epoll, an eventfd for posts from other threads, a heap of timers.
#pragma once

#include <csignal>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/loop/loop.h"
#include "base/os/fd.h"

namespace slipway {

class EpollLoop final : public Loop {
 public:
  static Result<std::unique_ptr<EpollLoop>> Make();

  MonotonicTime Now() const override { return std::chrono::steady_clock::now(); }
  WallTime WallNow() const override { return std::chrono::system_clock::now(); }
  void Post(Task task) override;
  TimerId After(Duration delay, Task task) override;
  void Cancel(TimerId timer) override;
  Result<WatchId> Watch(int fd, std::uint32_t epoll_events, FdCallback callback) override;
  Result<> Rewatch(WatchId watch, std::uint32_t epoll_events) override;
  void Unwatch(WatchId watch) override;
  void Run() override;
  void Stop() override;

  // Blocks the signals in this thread (call before any other thread starts) and delivers them as callbacks.
  Result<> WatchSignals(const std::vector<int>& signals, std::function<void(int signal_number)> callback);

 private:
  EpollLoop() = default;
  void RunPosted();
  void RunDueTimers();
  int MillisecondsToNextTimer() const;
  void Wake();

  struct Watched {
    int fd;
    std::shared_ptr<FdCallback> callback;  // shared: it may remove itself while it runs
  };
  struct Timer {
    std::uint64_t id;
    Task task;
  };

  UniqueFd epoll_, wake_, signals_;
  std::map<std::uint64_t, Watched> watches_;
  std::multimap<MonotonicTime, Timer> timers_;
  std::uint64_t next_id_ = 1;
  bool stopped_ = false;

  std::mutex mutex_;     // guards what follows
  bool asleep_ = false;  // in epoll_wait, or about to be: a loop that is awake looks by itself
  std::vector<Task> posted_;
  bool stop_requested_ = false;
};

}  // namespace slipway
