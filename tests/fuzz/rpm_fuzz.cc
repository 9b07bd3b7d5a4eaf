// SPDX-License-Identifier: Apache-2.0
// A database that somebody else made, opened by SQLite from memory.
#include <cstdint>

#include "imagestore/content/packages.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  auto packages = content::RpmPackages(std::string(reinterpret_cast<const char*>(data), size));
  if (packages) {
    CHECK(packages->size() <= content::kPackagesMax);
  }
  return 0;
}
