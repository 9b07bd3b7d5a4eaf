// SPDX-License-Identifier: Apache-2.0
// Effects come out of the core in an order that matters: nobody may be told of what a crash could still lose.
// This is the one place that keeps it: events go to the store at once, everything behind them waits for the
// commit, in order.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/core/controller.h"
#include "scheduler/core/messages.h"
#include "scheduler/store/store.h"

namespace slipway::scheduler {

// The outside world, as the daemon or the simulator makes it. Called on the owner's thread only.
class EffectSink {
 public:
  virtual ~EffectSink() = default;
  virtual void OnSend(const Send& send) = 0;
  virtual void OnReply(const Reply& reply) = 0;
  virtual void OnTimer(Time at) = 0;
  // These are durable now: the place to wake clients that wait for a job or a step.
  virtual void OnCommitted(const std::vector<Event>& events) { (void)events; }
  // The store has failed. Nothing that waited is performed any more: end the process; a restart replays.
  virtual void OnStoreFailed(const Error& error) = 0;
  // The log does not replay. Nothing is lost by that now, but no restart would succeed: say so loudly.
  virtual void OnNoSnapshot(const Error& error) = 0;
};

class Executor {
 public:
  // Borrows both. `revision`: of the last record that was replayed.
  Executor(Store& store, EffectSink& sink, Epoch epoch, Revision revision);
  ~Executor();

  // Performs what can be performed, queues the rest. Timers are not held back.
  void Run(std::vector<Effect> effects);
  // Runs `task` once all that was handed in before is durable (at once when it is): for answers to reads.
  void AfterCommit(std::function<void()> task);
  // Makes the next snapshot from the one before and what is durable behind it, off the owner's thread
  // (decision 46), and saves it. `elsewhere` runs the task on any one thread; `post` comes back to the
  // owner's. The store must outlive the task. Nothing while one is being made.
  void MakeSnapshot(const Store::Post& elsewhere, Store::Post post);
  Revision revision() const;  // of the last record handed to the store
  bool idle() const;          // nothing waits for a commit
  bool failed() const;

 private:
  struct Core;
  std::shared_ptr<Core> core_;  // shared with the store's callbacks, which may outlive us
};

// Snapshot and the records behind it, applied. kDataLoss when they do not decode or revisions have gaps.
struct Replayed {
  State state;
  Revision revision = 0;
  std::uint64_t records = 0;  // read after the snapshot
};
// `until`: records behind it are not read. `records_at_once`: the store is free for others between so many.
Result<Replayed> Replay(Store& store, Revision until = UINT64_MAX, std::size_t records_at_once = 10'000);

}  // namespace slipway::scheduler
