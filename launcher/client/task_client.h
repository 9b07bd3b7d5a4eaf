// SPDX-License-Identifier: Apache-2.0
// `exec instance://NAME` and `exec --job ID`: a process of ours in a container that runs already, asked for
// at the socket of whoever holds its init (task_protocol.h). It has our standard streams, or a terminal of
// its own where ours is one; our signals reach it, and its exit code becomes ours.
#pragma once

#include <functional>
#include <string>

#include "launcher/spec/task_order.h"
#include "launcher/spec/task_protocol.h"

namespace slipway {

struct TaskRun {
  std::string socket;                           // path
  std::string whose;                            // for errors: "instance web", "job 42"
  TaskOrder order;                              // all but its streams
  std::function<void(const std::string&)> say;  // what failed, one line
};

// As RunContainer: the command's own code, 128 + signal, 127, 126, or 125. Blocks the calling thread's
// signals while it runs.
int RunTaskIn(const TaskRun& run);

// Asks a keeper to end its instance and waits until it has. kUnavailable when there is none.
Result<> StopInstance(const std::string& socket, const InstanceStop& stop);

}  // namespace slipway
