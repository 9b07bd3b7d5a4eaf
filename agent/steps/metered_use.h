// SPDX-License-Identifier: Apache-2.0
// What stepd cannot see of a step, because it is the node's and not its ranks': energy, and what its GPUs
// did. The agent meters it (agent/meter) and reports it with the step's end.
#pragma once

#include <cstdint>

namespace slipway {

// 0: nothing, or not known. docs/node-life.md ("What a step used") says whose energy it is.
struct MeteredUse {
  std::uint64_t energy_mj = 0;              // the step's part of the node's
  std::uint64_t node_energy_mj = 0;         // of the node's processors and memory while the step ran
  std::uint64_t gpu_energy_mj = 0;          // of the GPUs that it had
  std::uint64_t gpu_busy_us = 0;            // in which these GPUs worked, all together
  std::uint64_t gpu_watched_us = 0;         // in which they were watched, all together
  std::uint64_t gpu_memory_peak_bytes = 0;  // on all of them together, at the worst look
  bool operator==(const MeteredUse&) const = default;
};

}  // namespace slipway
