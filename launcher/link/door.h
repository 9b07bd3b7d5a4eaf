// SPDX-License-Identifier: Apache-2.0
// One socket serves callers of several kinds (an agent, somebody's `exec`), and who is meant is known only
// from the first frame. The door accepts, asks the kernel who it is, waits for that frame and the descriptors
// that come with it, and hands the connection on.
//
// Loop's thread only.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "base/os/fd.h"
#include "base/os/socket.h"
#include "base/wire/stream.h"

namespace slipway {

// A connection whose first frame has come.
struct Opening {
  PeerIdentity peer;
  UniqueFd socket;  // non-blocking
  std::string frame;
  FrameReader reader;  // what came behind the frame
  std::vector<UniqueFd> fds;
};

class Door {
 public:
  struct Events {
    std::function<bool(const PeerIdentity&)> may_enter;
    std::function<void(Opening)> opened;
  };
  // Frames beyond `frame_bytes_max` end a connection.
  Door(Loop& loop, UniqueFd listener, std::size_t frame_bytes_max, Events events);
  ~Door();
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  Result<> Start();

 private:
  static constexpr std::size_t kWaitingMax = 64;  // without a first frame; the oldest then goes
  static constexpr std::size_t kFdsMax = 16;
  struct Caller {
    Opening opening;
    Loop::WatchId watch;
  };
  void OnListener();
  void OnReadable(std::uint64_t id);
  Result<bool> Read(Opening& opening);
  void Drop(std::uint64_t id);

  Loop& loop_;
  UniqueFd listener_;
  const std::size_t frame_bytes_max_;
  Events events_;
  Loop::WatchId listener_watch_;
  std::map<std::uint64_t, Caller> waiting_;
  std::uint64_t next_id_ = 1;
};

}  // namespace slipway
