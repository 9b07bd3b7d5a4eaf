// SPDX-License-Identifier: Apache-2.0
// Who waits for a word of a child that is another user's already waits for that user: he may have stopped it.
#pragma once

#include <chrono>

#include "base/os/process.h"

namespace slipway {

// Blocks until `fd` can be read, or its other end has closed. kDeadlineExceeded: a signal has stopped `child`
// (seen within 50 ms), or `patience` is over.
Result<> AwaitWordOf(const Process& child, int fd, std::chrono::milliseconds patience);

}  // namespace slipway
