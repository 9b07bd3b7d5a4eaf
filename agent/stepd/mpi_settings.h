// SPDX-License-Identifier: Apache-2.0
// An MPI library tries every transport it was built with and reads the node's topology again in every rank;
// most of what MPI_Init costs goes there. What the launcher knows it tells: no node of the job has a device
// for these transports, ranks are more than processors, processors are bound already. What the user has set
// wins, and every setting has its reason (--mpi-report).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launcher/spec/step_spec.h"

namespace slipway {

// Kinds of devices, as bits; what one node has, or any of the job's.
enum DeviceKind : std::uint32_t {
  kTrueScale = 1,   // ipath: PSM
  kOmniPath = 2,    // hfi1: PSM2
  kInfiniBand = 4,  // RDMA verbs, RoCE and EFA too
  kSlingshot = 8,   // cxi
  kOtherFabric = 16,
  kGpu = 32,
};
std::uint32_t DevicesIn(const std::string& device_dir);  // normally /dev

struct MpiSettings {
  std::vector<std::string> env;      // NAME=value
  std::vector<std::string> reasons;  // one line each
};
// `devices`: of any node of the job. `cores_here`: processors that the ranks of this node share.
MpiSettings MpiSettingsOf(const StepSpec& spec, std::uint32_t devices, std::size_t cores_here);

// --mpi-report, --mpi-pmi-port and --mpi-timeout, which travel in the environment.
bool WantsMpiReport(const StepSpec& spec);
bool WantsPmiPort(const StepSpec& spec);
// How long a fence may take once the ranks are wired up: 0, for ever, unless the user said (a rank that is
// done early waits in MPI_Finalize for the others as long as they compute).
std::uint32_t MpiFenceLimit_s(const StepSpec& spec);
std::uint32_t MpiTimeout_s(const StepSpec& spec);

}  // namespace slipway
