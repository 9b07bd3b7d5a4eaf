// SPDX-License-Identifier: Apache-2.0
// While tasks run the init forwards signals, reports ends, reaps what is orphaned, and takes everything down
// when the one who ordered the step has gone.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/os/fd.h"
#include "launcher/container/fuse_server.h"
#include "launcher/container/report.h"
#include "launcher/container/tasks.h"

namespace slipway {

struct Supervised {
  UniqueFd control;
  StartedTasks tasks;
  std::string program;  // for the words of a failed exec
  UniqueFd
      children_list;  // without a PID namespace: /proc/thread-self/children of the host, to find orphans by
  std::vector<FuseServer> servers;  // of images
  bool pid_namespace = false;
};

// Ends the process when the last task has ended and been reported. Signals must be blocked.
[[noreturn]] void Supervise(Supervised supervised, Report& report);

}  // namespace slipway
