// SPDX-License-Identifier: Apache-2.0
// Drives one container to its end without a daemon: starts slipway-starter, hands it the spec, forwards
// signals, and returns the exit code. The terminal is simply inherited.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/os/process.h"
#include "launcher/spec/init_protocol.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

struct ContainerRun {
  std::string starter;  // path of slipway-starter
  std::vector<std::string>
      starter_arguments;  // who the user is inside (launcher/main/starter.cc); may be none
  LaunchSpec spec;        // one task
  std::vector<int> fds;   // borrowed; as many as spec.fd_count
  std::function<void(const InitReady&)> ready;  // the container stands; may be empty
  std::function<void(const std::string&)> say;  // warnings and failures, one line each
};

// The exit code as a shell has it: the command's own, 128 + signal, 127 not found, 126 not executable, 125
// ours. Blocks the calling thread's signals while it runs.
int RunContainer(const ContainerRun& run);

// slipway-starter, and the socket to the container's init that it becomes (init_protocol.h). It ends with the
// calling thread.
struct StarterProcess {
  Process process;
  UniqueFd control;
};
Result<StarterProcess> SpawnStarter(const std::string& starter, const std::vector<std::string>& arguments);

// slipway-starter beside this program, or in ../libexec/slipway. kNotFound says where it was looked for.
Result<std::string> FindCompanion(const std::string& program);

}  // namespace slipway
