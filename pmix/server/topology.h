// SPDX-License-Identifier: Apache-2.0
// The node's topology is given to libpmix and to every rank, so that none of them looks for it again.
// Internal to pmix/server: <hwloc.h> is wanted nowhere else of it.
#pragma once

#include <hwloc.h>

#include <string>

namespace slipway {

struct LoadedTopology {
  hwloc_topology_t handle = nullptr;  // lives as long as the process; null: hwloc could not make one
  std::string source;                 // "hwloc:2.9.0", as PMIx names it
  std::string xml;
};
// That of `known`, hwloc's XML of what was found on this node; where it is empty or cannot be read the node
// is looked at.
LoadedTopology LoadTopology(const std::string& known);

}  // namespace slipway
