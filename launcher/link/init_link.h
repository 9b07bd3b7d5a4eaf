// SPDX-License-Identifier: Apache-2.0
// The outer side of a container's control socket, for those who hold it in a loop (slipway-stepd, an
// instance's keeper): the LaunchSpec and its descriptors go in, starts and ends of tasks come out. The init
// is the user's: what it says is checked, and nothing waits for it.
//
// Loop's thread only. `gone` comes once, after the last frame.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "base/os/fd.h"
#include "launcher/spec/init_protocol.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

class InitLink {
 public:
  struct Events {
    std::function<void(InitReady)> ready;
    std::function<void(std::uint32_t task)> started;
    std::function<void(std::uint32_t task, std::int32_t wait_status)> exited;
    // The hooks that run outside are due, and the init waits; an error ends it. Needed only by those whose
    // spec has such hooks.
    std::function<Result<>(HookPoint)> hook_point;
    // Of tasks that were added, numbered as they were asked for.
    std::function<void(TaskStarted)> added_started;
    std::function<void(TaskExited)> added_exited;
    std::function<void(TaskFailed)> added_failed;
    std::function<void(InitFailed)> failed;
    std::function<void(std::string)> warning;
    std::function<void(std::string why)> gone;
  };
  InitLink(Loop& loop, UniqueFd control, Events events);
  ~InitLink();
  InitLink(const InitLink&) = delete;
  InitLink& operator=(const InitLink&) = delete;

  Result<> Start();
  // `fds` in the order of the spec's numbers; they are closed here once sent.
  // `idle`: LaunchRequest.
  Result<> Launch(const LaunchSpec& spec, std::vector<UniqueFd> fds, bool idle = false);
  // `fds`: the order's memfd and its streams, which are not looked at here.
  void Add(RunTask request, std::vector<UniqueFd> fds);
  void Signal(std::int32_t task, std::int32_t signal_number);
  void Finish(std::int32_t signal_number);
  // The init then ends every task and goes; `gone` still comes.
  void Close(std::string why);
  bool open() const { return static_cast<bool>(control_); }

 private:
  struct Outgoing {
    std::string bytes;
    std::vector<UniqueFd> fds;
  };
  void Send(std::string bytes, std::vector<UniqueFd> fds);
  void Flush();
  void OnSocket(std::uint32_t epoll_events);
  Result<> Handle(std::string_view message);

  Loop& loop_;
  UniqueFd control_;
  Events events_;
  Loop::WatchId watch_;
  std::deque<Outgoing> outgoing_;
  std::uint32_t task_count_ = 0;
};

}  // namespace slipway
