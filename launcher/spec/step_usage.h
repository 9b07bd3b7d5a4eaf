// SPDX-License-Identifier: Apache-2.0
// What the ranks of a step used on a node, for accounting: read from their cgroup when they have ended. 0 is
// nothing, or not known (a node without that controller).
#pragma once

#include <cstdint>

#include "base/wire/wire.h"

namespace slipway {

struct StepUsage {
  std::uint64_t cpu_us = 0, cpu_user_us = 0, cpu_system_us = 0;
  std::uint64_t memory_peak_bytes = 0, swap_peak_bytes = 0;
  std::uint64_t io_read_bytes = 0, io_write_bytes = 0;
  // How long something of it waited for a processor, for memory, for input and output.
  std::uint64_t pressure_cpu_us = 0, pressure_memory_us = 0, pressure_io_us = 0;
  bool operator==(const StepUsage&) const = default;
};
void Fields(auto& archive, IsA<StepUsage> auto& v) {
  archive(v.cpu_us, v.cpu_user_us, v.cpu_system_us, v.memory_peak_bytes, v.swap_peak_bytes, v.io_read_bytes,
          v.io_write_bytes, v.pressure_cpu_us, v.pressure_memory_us, v.pressure_io_us);
}

}  // namespace slipway
