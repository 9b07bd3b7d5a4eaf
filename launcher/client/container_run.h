// SPDX-License-Identifier: Apache-2.0
// Drives one container to its end: hands the spec to the container's init, forwards signals,
// and returns the exit code. The terminal is inherited where the way keeps the session, and relayed where it
// does not.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "launcher/client/way.h"
#include "launcher/spec/init_protocol.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

struct ContainerRun {
  LaunchSpec spec;                                              // one task
  std::vector<int> fds;                                         // borrowed; as many as spec.fd_count
  std::function<void(const Entered&, const InitReady&)> ready;  // the container stands; may be empty
  std::function<void(const std::string&)> say;                  // warnings and failures, one line each
};

// The exit code as a shell has it: the command's own, 128 + signal, 127 not found, 126 not executable, 125
// ours. Blocks the calling thread's signals while it runs.
int RunContainer(const ContainerRun& run, Entrance entrance);

}  // namespace slipway
