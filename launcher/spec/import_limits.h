// SPDX-License-Identifier: Apache-2.0
// How much an image may be that the site's store takes in: a few kilobytes can unpack to everything that a
// disk holds. Settings of starter.conf, handed to slipway-import, which names them when it refuses.
#pragma once

#include <cstdint>

#include "base/wire/wire.h"

namespace slipway {

struct ImportLimits {
  std::uint64_t entries = 8'000'000;               // import_entries_max: files and directories
  std::uint64_t bytes = std::uint64_t{256} << 30;  // import_bytes_max: of file data, unpacked
  std::uint64_t memory = std::uint64_t{4} << 30;   // import_memory: address space of slipway-import
  std::uint32_t depth = 512;                       // import_depth_max: directories in directories
  std::uint32_t seconds = 1800;                    // import_seconds: each of an import's programs
};
void Fields(auto& archive, IsA<ImportLimits> auto& v) {
  archive(v.entries, v.bytes, v.memory, v.depth, v.seconds);
}

}  // namespace slipway
