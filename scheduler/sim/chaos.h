// SPDX-License-Identifier: Apache-2.0
// A cluster's bad days in virtual time: the production core and executor, a store whose disk misbehaves,
// model nodes, and a network that drops, doubles, delays and reorders, all driven by one seed. After every
// step the promises are checked; then the faults stop and everything must drain.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

namespace slipway::scheduler {

struct ChaosOptions {
  std::uint64_t seed = 1;
  std::uint32_t minutes = 4;  // of virtual time with faults
  bool quick = false;         // its queue counts as a long one, whatever the seed says
  // Sees each line as it happens; may be empty.
  std::function<void(const std::string& line)> trace;
};

struct ChaosResult {
  std::optional<std::string> failure;
  std::deque<std::string> last;  // the last 50 things that happened
  std::uint64_t inputs = 0, jobs = 0, kills = 0, reboots = 0, started = 0, promises = 0, signals = 0;
};

ChaosResult RunChaos(const ChaosOptions& options);

}  // namespace slipway::scheduler
