// SPDX-License-Identifier: Apache-2.0
// Whether the GPUs that are offered can still be used: seen from the kernel's files alone, so that it costs a
// few reads and cannot hang in a driver. Uncorrectable memory errors of NVIDIA's GPUs only the driver's
// library knows: DiscoverGpus asks it, and leaves such a GPU out with its fault.
#pragma once

#include <string>
#include <vector>

#include "hooks/gpu/gpu.h"
#include "hooks/host/host_tree.h"

namespace slipway {

// One sentence for each GPU of `units` that has left the bus or (AMD) counts uncorrectable memory errors; a
// GPU whose slices are several units is named once.
std::vector<std::string> GpuFindings(const HostTree& host, const std::vector<GpuUnit>& units);

}  // namespace slipway
