// SPDX-License-Identifier: Apache-2.0
// The GPUs and fabrics of this node: found when the agent starts, told to the controller when it registers,
// given to steps by the ids that the controller then knows them by.
//
// Built before the process has a second thread (the driver is asked in a child). Loop's thread only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/steps/plan.h"
#include "hooks/gpu/support.h"
#include "slipway/v1/node.pb.h"

namespace slipway {

struct NodeDevices {
  std::string host_root = "/";
  GpuSupport gpus;
  std::vector<GpuUnit> units;  // of `gpus`; empty: none are offered
  ContainerEdits fabrics;      // of every container of a job
  std::vector<std::string> fabric_names;
  std::map<std::uint32_t, std::uint32_t> numa_of_cpu;  // NUMA node of each processor; empty: not known
};

struct DeviceSettings {
  bool gpus = true, fabrics = true;
  std::string host_root = "/";
  std::string cache_file;  // of what was found; see CachedGpuSupport
};
Result<NodeDevices> FindNodeDevices(const DeviceSettings& settings);

// Its UUID, or for one without: its PCI address, with the number of its slice.
std::string GpuIdOf(const GpuUnit& unit);
// Of those that NVML knows, which alone says what GPUs are used for.
std::vector<std::string> NvmlIdsOf(const NodeDevices& devices);

// For Register: `facts.gpu_units`.
void AddGpuUnits(const NodeDevices& devices, v1::Node& facts);

// What of it every step gets, and the GPUs that its job has here; and for each rank its own, where the job
// asked for GPUs per task: those beside the rank's processors first. `cdi_folders`: a site's file that speaks
// of a vendor's GPUs wins over what we found. kFailedPrecondition names a GPU that is not there any more or
// does not answer, a driver that was changed, or a C library of the image that is too old. Drivers' files
// that have moved are found anew. Lines for the log go to `notes`.
Result<> AddNodeDevices(const v1::LaunchStep& launch, NodeDevices& devices,
                        const std::vector<std::string>& cdi_folders, LaunchPlan& plan,
                        std::vector<std::string>& notes);

}  // namespace slipway
