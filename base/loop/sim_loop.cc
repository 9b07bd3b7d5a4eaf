// SPDX-License-Identifier: Apache-2.0
// A queue of tasks and a clock that follows it.
#include "base/loop/sim_loop.h"

#include <algorithm>

namespace slipway {

Loop::TimerId SimLoop::After(Duration delay, Task task) {
  std::uint64_t id = next_id_++;
  MonotonicTime at = now_ + std::max(delay, Duration(0));
  tasks_.emplace(Key{at, id}, std::move(task));
  times_.emplace(id, at);
  return {id};
}

void SimLoop::Cancel(TimerId timer) {
  auto found = times_.find(timer.value);
  if (found == times_.end()) return;
  tasks_.erase({found->second, found->first});
  times_.erase(found);
}

Result<Loop::WatchId> SimLoop::Watch(int, std::uint32_t, FdCallback) {
  return Fail(Code::kUnimplemented, "a loop with virtual time has no descriptors");
}

Result<> SimLoop::Rewatch(WatchId, std::uint32_t) {
  return Fail(Code::kUnimplemented, "a loop with virtual time has no descriptors");
}

bool SimLoop::Step(MonotonicTime until) {
  if (tasks_.empty() || tasks_.begin()->first.first > until) {
    if (until != MonotonicTime::max()) now_ = std::max(now_, until);
    return false;
  }
  auto node = tasks_.extract(tasks_.begin());
  now_ = node.key().first;
  times_.erase(node.key().second);
  node.mapped()();
  return true;
}

void SimLoop::Run() {
  stopped_ = false;
  while (!stopped_ && Step()) {
  }
}

}  // namespace slipway
