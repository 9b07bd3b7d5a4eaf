// SPDX-License-Identifier: Apache-2.0
#include "cli/dev/restart.h"

#include <algorithm>

namespace slipway::dev {
namespace {
using std::chrono::milliseconds;
using std::chrono::seconds;
constexpr Duration kFast = seconds(5), kFirstWait = milliseconds(100), kLongestWait = seconds(10);
constexpr unsigned kAtOnce = 5;  // deaths in a row that are not waited for
}  // namespace

Duration RestartPolicy::AfterDeath(Duration lived) {
  fast_deaths_ = lived < kFast ? fast_deaths_ + 1 : 0;
  if (fast_deaths_ <= kAtOnce) return Duration::zero();
  unsigned doublings = std::min(fast_deaths_ - kAtOnce - 1, 10U);
  return std::min(kFirstWait * (1U << doublings), kLongestWait);
}

}  // namespace slipway::dev
