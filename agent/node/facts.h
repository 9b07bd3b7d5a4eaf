// SPDX-License-Identifier: Apache-2.0
// What a node offers, as hwloc (agent/binding) and the kernel see it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/binding/topology.h"
#include "base/result/result.h"

namespace slipway {

struct NodeFacts {
  std::uint32_t cores = 0, sockets = 0, numa_nodes = 0;
  std::uint64_t memory_bytes = 0;
  std::vector<std::vector<std::uint32_t>>
      core_cpus;      // by core; the kernel's numbers; empty: cores are not bound
  Topology topology;  // no processors: cores are only counted
  std::string arch;   // as Debian calls it: amd64, arm64
};

// `cores` and `memory_bytes` other than 0 replace what is found; cores that are only counted are not bound.
Result<NodeFacts> FindNodeFacts(std::uint32_t cores, std::uint64_t memory_bytes);

// The kernel's boot id. Virtual nodes share a kernel: what the file STATE_DIR/boot-suffix holds, if there is
// one, is appended, so that a node's reboot can be played without one of the machine.
Result<std::string> FindBootId(const std::string& state_dir);

}  // namespace slipway
