// SPDX-License-Identifier: Apache-2.0
// While tasks run the init forwards signals, reports ends, forks what more is asked for, reaps what is
// orphaned, and takes everything down when the one who ordered the step has gone.
#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

#include "base/os/fd.h"
#include "launcher/container/added_tasks.h"
#include "launcher/container/fuse_server.h"
#include "launcher/container/report.h"
#include "launcher/container/tasks.h"

namespace slipway {

struct Supervised {
  UniqueFd control;
  StartedTasks tasks;
  std::optional<AddedTasks> added;  // there
  UniqueFd children_list;           // /proc/thread-self/children of the host, to find orphans by; may be none
  std::vector<FuseServer> servers;  // of images
  bool pid_namespace = false;
  bool idle = false;  // stands without tasks until the socket closes
};

// Ends the process when the last task has ended and been reported (of added ones only members are waited
// for). Signals must be blocked.
[[noreturn]] void Supervise(Supervised supervised, Report& report);

}  // namespace slipway
