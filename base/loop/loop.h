// SPDX-License-Identifier: Apache-2.0
// Each daemon has one thread that owns all its mutable state; whatever happens elsewhere (gRPC's threads,
// libpmix's) is decoded there and posted here. Loop is that thread's queue, clock and watch on descriptors.
// EpollLoop is the real one; SimLoop (sim_loop.h) is its twin with virtual time, so that the same code runs
// under simulation.
//
// Post() may be called from any thread; everything else only from the loop's own. Callbacks run one at a time
// and may call anything, Stop() and removal of themselves included.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "base/result/result.h"

namespace slipway {

using Duration = std::chrono::nanoseconds;
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

class Loop {
 public:
  using Task = std::function<void()>;
  using FdCallback = std::function<void(std::uint32_t epoll_events)>;
  struct TimerId {
    std::uint64_t value = 0;
  };  // 0: none
  struct WatchId {
    std::uint64_t value = 0;
  };

  virtual ~Loop() = default;

  virtual MonotonicTime Now() const = 0;
  virtual WallTime WallNow() const = 0;

  virtual void Post(Task task) = 0;
  virtual TimerId After(Duration delay, Task task) = 0;
  virtual void Cancel(TimerId timer) = 0;  // of one that has run already: nothing happens
  // Level-triggered. The descriptor is borrowed and must outlive the watch. A child is watched by its pidfd.
  virtual Result<WatchId> Watch(int fd, std::uint32_t epoll_events, FdCallback callback) = 0;
  virtual Result<> Rewatch(WatchId watch, std::uint32_t epoll_events) = 0;
  virtual void Unwatch(WatchId watch) = 0;

  virtual void Run() = 0;   // until Stop(); what was posted before Stop() still runs
  virtual void Stop() = 0;  // from any thread
};

}  // namespace slipway
