// SPDX-License-Identifier: Apache-2.0
// Counters of a node are nobody's; a step's use is what they moved by while it ran, and of what several
// shared, its part. Pure bookkeeping: who reads the counters, and when, is step_meter.h's.
//
// Any one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/steps/metered_use.h"
#include "base/loop/loop.h"
#include "hooks/gpu/gpu_use.h"
#include "launcher/spec/step_id.h"

namespace slipway {

// Of the node, at one moment; they only grow. Nothing: not known.
struct NodeCounters {
  std::optional<std::uint64_t> energy_uj;
  std::optional<std::uint64_t> busy_us;  // of its processors
};

class MeterBook {
 public:
  // A second time for the same step changes nothing. `gpus`: UUIDs of those that it can open.
  void Began(const StepId& step, std::vector<std::string> gpus, const NodeCounters& now);
  // A look at one GPU. What went by since the last look is counted as it is now; a pause of more than
  // kLongestLook is not.
  void Saw(const GpuUse& use, MonotonicTime at);
  // `cpu_us`: of its ranks, by their cgroup. The step that had the node to itself all the time has all of the
  // energy; others have as much of it as of the time in which the processors did something.
  MeteredUse Ended(const StepId& step, std::uint64_t cpu_us, const NodeCounters& now);

  bool empty() const { return steps_.empty(); }
  bool any_gpus() const;

  static constexpr auto kLongestLook = std::chrono::seconds(10);

 private:
  struct SeenGpu {
    MonotonicTime at{};
    std::optional<std::uint64_t> first_energy_mj, last_energy_mj;
    std::uint64_t memory_bytes = 0;
  };
  struct Entry {
    NodeCounters begin;
    bool alone = true;
    std::map<std::string, std::optional<SeenGpu>> gpus;  // nothing: not looked at yet
    MeteredUse use;
  };
  std::map<StepId, Entry> steps_;
};

}  // namespace slipway
