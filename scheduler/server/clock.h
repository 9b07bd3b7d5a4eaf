// SPDX-License-Identifier: Apache-2.0
// The wall clock as protocol and catalogue write it.
#pragma once

#include <chrono>
#include <cstdint>

namespace slipway::scheduler {

inline std::int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace slipway::scheduler
