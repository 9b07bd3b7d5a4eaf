// SPDX-License-Identifier: Apache-2.0
// Between the container's init and whoever runs the step outside (slipway-stepd, or `slipway exec`): frames
// on a SEQPACKET socket pair. The init starts nothing before kLaunch; when the socket closes it ends every
// task and goes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/wire/wire.h"

namespace slipway {

enum class InitFrame : std::uint16_t {
  // to the init
  kLaunch = 1,  // LaunchRequest; fd 0 is the sealed memfd of the LaunchSpec
  kFds = 2,     // no payload; the next of the spec's fd_count descriptors, at most 250 a message
  kSignal = 3,  // TaskSignal
  // from the init
  kReady = 16,    // InitReady: the container stands, tasks are about to be forked
  kStarted = 17,  // TaskStarted
  kExited = 18,   // TaskExited
  kFailed = 19,   // InitFailed: nothing was started, or nothing more will be
  kWarning = 20,  // std::string, for the user's stderr
  kRefused = 21,  // std::string: this way cannot be taken, nothing was started; another may be tried
  kBorn = 22,     // std::string, empty: from the setuid starter, before the init's own first frame
};

struct LaunchRequest {
  std::uint32_t version = 1;
};
void Fields(auto& archive, IsA<LaunchRequest> auto& v) { archive(v.version); }

struct TaskSignal {
  std::int32_t task = -1;  // index into LaunchSpec::tasks; -1: all
  std::int32_t signal_number = 0;
};
void Fields(auto& archive, IsA<TaskSignal> auto& v) { archive(v.task, v.signal_number); }

// Where the time of a start went, in order, in microseconds since the previous lap.
struct Lap {
  std::string name;
  std::uint32_t us = 0;
};
void Fields(auto& archive, IsA<Lap> auto& v) { archive(v.name, v.us); }

struct InitReady {
  std::vector<Lap> laps;
  bool pid_namespace = false;
};
void Fields(auto& archive, IsA<InitReady> auto& v) { archive(v.laps, v.pid_namespace); }

struct TaskStarted {
  std::uint32_t task = 0;
  std::int32_t pid = 0;  // as seen inside
};
void Fields(auto& archive, IsA<TaskStarted> auto& v) { archive(v.task, v.pid); }

struct TaskExited {
  std::uint32_t task = 0;
  std::int32_t wait_status = 0;  // of waitpid(2)
};
void Fields(auto& archive, IsA<TaskExited> auto& v) { archive(v.task, v.wait_status); }

struct InitFailed {
  std::int32_t exit_code = 125;  // 125 our failure, 126 cannot be executed, 127 not found
  std::string message;           // one line: what, where, what to do
};
void Fields(auto& archive, IsA<InitFailed> auto& v) { archive(v.exit_code, v.message); }

}  // namespace slipway
