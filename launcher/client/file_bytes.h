// SPDX-License-Identifier: Apache-2.0
// The headers of SIF files and of file systems are little-endian numbers at fixed places.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway {

// Exactly `bytes` of the file, which must be there.
Result<std::string> ReadAt(int fd, std::uint64_t offset, std::size_t bytes);
// The number of `width` bytes (at most 8) at `at`, which must lie within `bytes`.
std::uint64_t Little(std::string_view bytes, std::size_t at, std::size_t width);

}  // namespace slipway
