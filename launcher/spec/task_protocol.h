// SPDX-License-Identifier: Apache-2.0
// Between who wants one more process in a running container and who holds the socket of that container's init
// (slipway-stepd, an instance's keeper): length-prefixed frames (base/wire/stream.h) on a Unix stream socket.
// One connection is one process; closing it ends the process. The kinds do not meet StepFrame's, because
// stepd's socket serves both.
//
// Who may come is judged by SO_PEERCRED: the container's user, nobody else.
#pragma once

#include <cstdint>

#include "base/wire/wire.h"
#include "launcher/spec/init_protocol.h"

namespace slipway {

enum class TaskFrame : std::uint16_t {
  // the first of a connection
  kRun = 64,   // TaskHello; with it travel the sealed memfd of a TaskOrder and the order's streams
  kStop = 66,  // InstanceStop; instances only. The connection closes when the instance has ended
  // then, to a process
  kSignal = 65,  // std::int32_t
  // answers
  kStarted = 80,  // TaskStarted
  kExited = 81,   // TaskExited; the connection closes behind it and kFailed
  kFailed = 82,   // InitFailed: it did not run
};

struct TaskHello {
  std::uint32_t version = 1;
};
void Fields(auto& archive, IsA<TaskHello> auto& v) { archive(v.version); }

struct InstanceStop {
  std::uint32_t version = 1;
  std::int32_t signal_number = 0;
  std::uint32_t grace_s = 0;  // then what is left is killed
};
void Fields(auto& archive, IsA<InstanceStop> auto& v) { archive(v.version, v.signal_number, v.grace_s); }

}  // namespace slipway
