// SPDX-License-Identifier: Apache-2.0
// pwrite may write less than it was given.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result/result.h"

namespace slipway::sif {

Result<> WriteAt(int fd, std::string_view bytes, std::uint64_t offset);

}  // namespace slipway::sif
