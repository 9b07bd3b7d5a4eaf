// SPDX-License-Identifier: Apache-2.0
// The walls of slipway-import, apart from it so that a test can try them.
#pragma once

#include <cstdint>

#include "base/result/result.h"

namespace slipway {

// From here on this process can compute, use the descriptors that it has, make threads, and end; any other
// system call ends it with SIGSYS. Memory, CPU time and core dumps are limited. For good: there is no way
// back.
Result<> Confine(std::uint64_t memory_max = std::uint64_t{4} << 30);

}  // namespace slipway
