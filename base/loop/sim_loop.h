// SPDX-License-Identifier: Apache-2.0
// The twin of EpollLoop with virtual time: nothing waits, the clock jumps to the next task, and tasks run in
// the order of (time, when they were handed in), so that a run is the same each time. One thread only.
// Descriptors do not exist here: Watch is kUnimplemented.
#pragma once

#include <map>
#include <utility>

#include "base/loop/loop.h"

namespace slipway {

class SimLoop final : public Loop {
 public:
  explicit SimLoop(WallTime start = WallTime(std::chrono::seconds(1'700'000'000))) : wall_(start) {}

  MonotonicTime Now() const override { return now_; }
  WallTime WallNow() const override { return wall_ + now_.time_since_epoch(); }
  void Post(Task task) override { (void)After(Duration(0), std::move(task)); }
  TimerId After(Duration delay, Task task) override;
  void Cancel(TimerId timer) override;
  Result<WatchId> Watch(int fd, std::uint32_t epoll_events, FdCallback callback) override;
  Result<> Rewatch(WatchId watch, std::uint32_t epoll_events) override;
  void Unwatch(WatchId watch) override { (void)watch; }
  void Run() override;  // until Stop(), or until nothing is left to do
  void Stop() override { stopped_ = true; }

  // Runs the next task; false when there is none, or none up to `until` (the clock then is `until`).
  bool Step(MonotonicTime until = MonotonicTime::max());
  // The wall clock alone jumps, as when an administrator sets it.
  void StepWallClock(Duration by) { wall_ += by; }

 private:
  using Key = std::pair<MonotonicTime, std::uint64_t>;
  MonotonicTime now_{};
  WallTime wall_;
  std::uint64_t next_id_ = 1;
  std::map<Key, Task> tasks_;
  std::map<std::uint64_t, MonotonicTime> times_;  // of the tasks, by id
  bool stopped_ = false;
};

}  // namespace slipway
