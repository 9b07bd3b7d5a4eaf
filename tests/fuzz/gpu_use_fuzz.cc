// SPDX-License-Identifier: Apache-2.0
// Lines of slipway-gpu, which has a driver's library in it.
#include <cstdint>

#include "base/result/result.h"
#include "hooks/gpu/gpu_use.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  auto use = GpuUseIn({reinterpret_cast<const char*>(data), size});
  if (!use) return 0;
  CHECK(!use->id.empty() && use->id.size() <= 128);
  CHECK(!use->busy_percent || *use->busy_percent <= 100);
  auto again = GpuUseIn(LineOf(*use));
  CHECK(again && *again == *use);
  return 0;
}
