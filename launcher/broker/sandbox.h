// SPDX-License-Identifier: Apache-2.0
// The empty room in which slipway-import runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/os/process.h"

namespace slipway {

// An option of the program and the descriptor that it names (borrowed): the first becomes 3, the next 4.
struct SandboxFile {
  const char* option;
  int fd;
};

struct SandboxPlan {
  std::string program;
  std::uint32_t uid = 0, gid = 0;  // rootless: not used, it is us in a user namespace of its own
  bool rootless = false;
  std::string scratch;  // any directory: the new root is mounted over it, inside the new mount namespace only
  std::vector<SandboxFile> files;
  int error_fd = -1;  // becomes 1 and 2
  std::uint64_t out_bytes_max = 0;
};
// `program OPTION 3 OPTION 4 …`, running. Its whole PID namespace ends with it.
Result<Process> StartSandboxed(const SandboxPlan& plan);

}  // namespace slipway
