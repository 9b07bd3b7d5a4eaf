// SPDX-License-Identifier: Apache-2.0
// The empty room in which slipway-import runs.
#pragma once

#include <cstdint>
#include <string>

#include "base/os/process.h"

namespace slipway {

struct SandboxPlan {
  std::string program;
  std::uint32_t uid = 0, gid = 0;  // rootless: not used, it is us in a user namespace of its own
  bool rootless = false;
  std::string scratch;  // any directory: the new root is mounted over it, inside the new mount namespace only
  int in_fd = -1, out_fd = -1, error_fd = -1;  // become 3, 4 and 2
  std::uint64_t out_bytes_max = 0;
};
// `program --in-fd 3 --out-fd 4`, running. Its whole PID namespace ends with it.
Result<Process> StartSandboxed(const SandboxPlan& plan);

}  // namespace slipway
