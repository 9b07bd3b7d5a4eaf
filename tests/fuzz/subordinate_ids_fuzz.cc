// SPDX-License-Identifier: Apache-2.0
// /etc/subuid is an admin's text; a range taken from it must be one that newuidmap can be given.
#include <cstdint>
#include <string_view>

#include "launcher/container/idmap.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto range =
      slipway::SubordinateRange(std::string_view(reinterpret_cast<const char*>(data), size), "alice", 1001);
  if (range) CHECK(range->count > 0 && range->first + range->count <= 0xffffffff);
  return 0;
}
