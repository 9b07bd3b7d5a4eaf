// SPDX-License-Identifier: Apache-2.0
// A container needs a handful of devices and none of the host's others.
#pragma once

#include <string_view>

#include "base/result/result.h"
#include "launcher/container/report.h"

namespace slipway {

// A tmpfs attached to `target_fd` with null zero full random urandom tty, pts of its own, shm (the node's,
// shared by all ranks and steps), mqueue, and the links fd, stdin, stdout, stderr. `options`, separated by
// commas: "nopts" leaves pts out, "ownshm" makes shm one of its own.
Result<> MakeDev(int target_fd, std::string_view options, Report& report);

}  // namespace slipway
