// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>

#include "hooks/oci/hooks_d.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  HookOccasion occasion{.command = "/bin/sh", .annotations = {{"a.b", "c"}}, .has_bind_mounts = true};
  auto hooks = ParseHookFile({reinterpret_cast<const char*>(data), size}, occasion);
  if (hooks) CHECK(CheckHooks(*hooks));
  return 0;
}
