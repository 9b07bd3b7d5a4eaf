// SPDX-License-Identifier: Apache-2.0
// Where each processor of the node is. The only place that knows hwloc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result/result.h"

namespace slipway {

// One hardware thread. Cores and sockets are counted from 0 in hwloc's order, which is that of nearness; the
// rest are the kernel's numbers.
struct Processor {
  std::uint32_t cpu = 0, core = 0, socket = 0, numa = 0;
  bool operator==(const Processor&) const = default;
};

struct Topology {
  std::vector<Processor> processors;  // in hwloc's order: threads of a core side by side, then cores, sockets
  std::uint32_t cores = 0, sockets = 0, numa_nodes = 0;
  std::uint64_t memory_bytes = 0;
  std::string xml;  // the whole, as hwloc reads it back in another process
};

// Of this machine, as far as we are allowed on it; or, with `synthetic`, of one that hwloc makes up
// ("package:2 numa:2 core:8 pu:2").
Result<Topology> FindTopology(const std::string& synthetic = {});

}  // namespace slipway
