// SPDX-License-Identifier: Apache-2.0
// What of a SIF can be mounted. The file is a user's: every number in it is checked against its size before
// it is believed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway {

struct SifPartition {
  std::uint64_t id = 0;
  std::uint64_t file_system = 0;  // 1 squashfs, 2 ext3, 5 and 6 encrypted
  std::uint64_t kind = 0;         // 1 system, 2 the primary system, 3 data, 4 overlay
  std::uint64_t group = 0;
  std::uint64_t offset = 0, size = 0;  // bytes; within the file
};
inline constexpr std::uint64_t kSifSquashfs = 1, kSifExt3 = 2;
inline constexpr std::uint64_t kSifPrimarySystem = 2, kSifData = 3, kSifOverlay = 4;

bool LooksLikeSif(std::string_view opening);  // the first bytes of a file, 42 or more

// In the file's order. `path` is for the words of errors.
Result<std::vector<SifPartition>> ReadSifPartitions(int fd, std::uint64_t file_size, const std::string& path);

}  // namespace slipway
