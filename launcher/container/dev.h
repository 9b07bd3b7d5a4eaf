// SPDX-License-Identifier: Apache-2.0
// A container needs a handful of devices and none of the host's others.
#pragma once

#include <string>

#include "base/result/result.h"
#include "launcher/container/report.h"

namespace slipway {

// A tmpfs attached to `target_fd` with null zero full random urandom tty, pts of its own (if asked for),
// shm (the node's, shared by all ranks and steps), mqueue, and the links fd, stdin, stdout, stderr.
Result<> MakeDev(int target_fd, bool with_pts, Report& report);

}  // namespace slipway
