// SPDX-License-Identifier: Apache-2.0
// Those who want a process in a container that runs already (task_protocol.h): each connection is numbered,
// its request passed to the init, and what the init says of that number passed back. A visitor who goes takes
// his process with him.
//
// Loop's thread only.
#pragma once

#include <map>
#include <string>

#include "base/loop/loop.h"
#include "launcher/link/door.h"
#include "launcher/link/init_link.h"
#include "launcher/spec/task_protocol.h"

namespace slipway {

class Visitors {
 public:
  Visitors(Loop& loop, InitLink& init) : loop_(loop), init_(init) {}
  ~Visitors();
  Visitors(const Visitors&) = delete;
  Visitors& operator=(const Visitors&) = delete;

  // Of a connection that opened with kRun. Whoever has no right to be here was turned away before.
  void Admit(Opening opening);
  // kFailed as the only answer, and the connection closes.
  static void TurnAway(const Opening& opening, const std::string& line);

  // For InitLink::Events.
  void OnStarted(const TaskStarted& started);
  void OnExited(const TaskExited& exited);
  void OnFailed(const TaskFailed& failed);
  void OnInitGone();  // every one that is left is told

 private:
  static constexpr auto kGrace = std::chrono::seconds(5);  // between SIGHUP and SIGKILL
  struct Visitor {
    UniqueFd socket;  // none once he has gone and his process has not yet
    FrameReader reader;
    Loop::WatchId watch;
    Loop::TimerId kill_timer;
  };
  std::uint32_t FreeNumber();
  void OnReadable(std::uint32_t number);
  Result<> Read(std::uint32_t number, Visitor& visitor);
  Result<> ReadFrames(std::uint32_t number, Visitor& visitor);
  void Leave(std::uint32_t number);
  template <class T>
  void Answer(std::uint32_t number, TaskFrame kind, const T& payload, bool last);

  Loop& loop_;
  InitLink& init_;
  std::map<std::uint32_t, Visitor> visitors_;
  std::uint32_t next_ = kAddedTaskFirst;
};

}  // namespace slipway
