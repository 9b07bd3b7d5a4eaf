// SPDX-License-Identifier: Apache-2.0
// How much of its GPUs a job uses is known to the driver alone, and only for the moment in which it is asked:
// who wants a sum asks again and again. NVML may hang, so this is for a program of its own (slipway-gpu);
// its words, one line for each GPU and look, are read by the agent.
//
// Any one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway {

// Of one GPU or MIG instance at one moment. Nothing: the driver does not say (MIG has no share of time).
struct GpuUse {
  std::string id;                             // its UUID
  std::optional<std::uint64_t> busy_percent;  // of the last moment (a sixth of a second to a second)
  std::optional<std::uint64_t> memory_bytes;  // in use, without what the driver keeps for itself
  std::optional<std::uint64_t> energy_mj;     // millijoules since the driver was loaded
  bool operator==(const GpuUse&) const = default;
};

// "UUID PERCENT BYTES MILLIJOULES", "-" for what is not known; without a line's end.
std::string LineOf(const GpuUse& use);
// kInvalidArgument: it is not such a line.
Result<GpuUse> GpuUseIn(std::string_view line);

class GpuUseSource {
 public:
  // Loads `library` (NvmlLibraryOf) and starts it. kNotFound when it is not there, kUnavailable when it
  // cannot work.
  static Result<std::unique_ptr<GpuUseSource>> Open(const std::string& library);
  virtual ~GpuUseSource() = default;
  // An id that the driver does not know, or whose GPU is lost, has nothing but its id.
  virtual std::vector<GpuUse> Look(const std::vector<std::string>& ids) = 0;
};

}  // namespace slipway
