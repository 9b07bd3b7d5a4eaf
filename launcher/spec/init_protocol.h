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
  kLaunch = 1,    // LaunchRequest; fd 0 is the sealed memfd of the LaunchSpec
  kFds = 2,       // no payload; the next of the spec's fd_count descriptors, at most 250 a message
  kSignal = 3,    // TaskSignal
  kRunTask = 4,   // RunTask; fd 0 is the sealed memfd of a TaskOrder (task_order.h), then its descriptors
  kFinish = 5,    // TaskFinish
  kHooksRan = 6,  // the answer to kHookPoint: no payload
  // from the init
  kReady = 16,       // InitReady: the container stands, tasks are about to be forked
  kStarted = 17,     // TaskStarted
  kExited = 18,      // TaskExited
  kFailed = 19,      // InitFailed: nothing was started, or nothing more will be
  kWarning = 20,     // std::string, for the user's stderr
  kTaskFailed = 21,  // TaskFailed: a kRunTask came to nothing; no kExited follows
  kHookPoint = 22,   // HookPoint: the hooks that run outside are due; the init waits for kHooksRan
  kRefused = 24,     // std::string: this way cannot be taken, nothing was started; another may be tried
  kBorn = 25,        // std::string, empty: from the setuid starter, before the init's own first frame
};

// Exit code of a starter that refused before it could speak frames: it has said why on stderr.
inline constexpr int kStarterRefused = 2;

struct LaunchRequest {
  std::uint32_t version = 1;
  // The container stands without tasks until its socket closes or kFinish comes; the spec's own are not run.
  bool idle = false;
};
void Fields(auto& archive, IsA<LaunchRequest> auto& v) { archive(v.version, v.idle); }

// Nothing can setns into a container whose init is undumpable: who wants one more process in it asks the
// init. Its end is reported as that of the spec's tasks, and ends the container only as the last of its
// members.
inline constexpr std::uint32_t kAddedTaskFirst = 1U << 20;    // above every index into LaunchSpec::tasks
inline constexpr std::uint32_t kSpawnedTaskFirst = 1U << 30;  // from here on: ranks that MPI_Comm_spawn made
inline constexpr std::size_t kAddedTasksMax = 256;            // at once
struct RunTask {
  std::uint32_t task = kAddedTaskFirst;  // the asker's number for it, not in use
  bool member = false;                   // the container stays until it has ended, as for the spec's tasks
};
void Fields(auto& archive, IsA<RunTask> auto& v) { archive(v.task, v.member); }

struct TaskFailed {
  std::uint32_t task = 0;
  std::int32_t exit_code = 125;  // as in InitFailed
  std::string message;           // one line
};
void Fields(auto& archive, IsA<TaskFailed> auto& v) { archive(v.task, v.exit_code, v.message); }

// `signal_number` to everything in the container, which then ends as soon as nothing is left in it. 0: none.
struct TaskFinish {
  std::int32_t signal_number = 0;
};
void Fields(auto& archive, IsA<TaskFinish> auto& v) { archive(v.signal_number); }

struct TaskSignal {
  std::int32_t task = -1;  // index into LaunchSpec::tasks, or an added task's number; -1: all
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
  std::vector<std::string> facts;  // with LaunchSpec::explain: maps, mounts as they came out; one line each
};
void Fields(auto& archive, IsA<InitReady> auto& v) { archive(v.laps, v.pid_namespace, v.facts); }

struct TaskStarted {
  std::uint32_t task = 0;
  std::int32_t pid = 0;  // as seen inside
};
void Fields(auto& archive, IsA<TaskStarted> auto& v) { archive(v.task, v.pid); }

struct TaskExited {
  std::uint32_t task = 0;
  std::int32_t wait_status = 0;  // of waitpid(2)
  bool last = false;             // nothing is left in the container but the init, which goes too
};
void Fields(auto& archive, IsA<TaskExited> auto& v) { archive(v.task, v.wait_status, v.last); }

struct HookPoint {
  std::int32_t pid = 0;  // the init's, as seen outside
  std::string root;      // of the container, in the init's mount namespace
};
void Fields(auto& archive, IsA<HookPoint> auto& v) { archive(v.pid, v.root); }

struct InitFailed {
  std::int32_t exit_code = 125;  // 125 our failure, 126 cannot be executed, 127 not found
  std::string message;           // one line: what, where, what to do
};
void Fields(auto& archive, IsA<InitFailed> auto& v) { archive(v.exit_code, v.message); }

}  // namespace slipway
