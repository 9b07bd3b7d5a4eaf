// SPDX-License-Identifier: Apache-2.0
// The networks and the memory shortcuts that MPI libraries use without the kernel in between: each is a few
// device nodes that a container must have. The libraries that speak to them are the image's (their kernel
// interface is stable), but for Slingshot's libcxi, which follows its driver.
//
// What is found is plain device nodes, open to whom the host's modes say. Any thread.
#pragma once

#include <string>
#include <vector>

#include "hooks/edits/edits.h"
#include "hooks/host/host_tree.h"

namespace slipway {

struct Fabric {
  std::string name;                    // "InfiniBand", "EFA", "Slingshot", "Omni-Path", "XPMEM", "GDRCopy"
  std::vector<std::string> devices;    // of the network, for people: "mlx5_0"
  std::vector<std::string> nodes;      // paths on the host
  std::vector<std::string> libraries;  // on the host, bound under their sonames
};

// Those that the host has, by name. A network whose nodes are missing is not in it.
std::vector<Fabric> FindFabrics(const HostTree& host);

ContainerEdits EditsOfFabrics(const std::vector<Fabric>& fabrics, const HostTree& host);

}  // namespace slipway
