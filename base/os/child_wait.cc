// SPDX-License-Identifier: Apache-2.0
#include "base/os/child_wait.h"

#include <poll.h>

namespace slipway {

Result<> AwaitWordOf(const Process& child, int fd, std::chrono::milliseconds patience) {
  constexpr int kLookEvery_ms = 50;
  pollfd watched{fd, POLLIN, 0};
  for (auto left = patience; ::poll(&watched, 1, kLookEvery_ms) <= 0;) {
    if (child.IsStopped())
      return Fail(Code::kDeadlineExceeded, "a new process was stopped by a signal before it was ready");
    left -= std::chrono::milliseconds(kLookEvery_ms);
    if (left.count() <= 0)
      return Fail(Code::kDeadlineExceeded, "a new process was not ready within ", patience.count(), " ms");
  }
  return {};
}

}  // namespace slipway
