// SPDX-License-Identifier: Apache-2.0
// Hashing gigabytes would hold up the loop, and threads do not go with programs that enter namespaces; so
// long work runs in a forked child and its answer (64 KiB at most) comes back by pipe. At most kAtOnce run,
// the others wait their turn.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/loop/loop.h"
#include "base/os/process.h"

namespace slipway {

class Workers {
 public:
  using Work = std::function<Result<std::string>()>;  // runs in the child; may block
  using Done = std::function<void(Result<std::string>)>;
  explicit Workers(Loop& loop) : loop_(loop) {}
  ~Workers();  // ends those that still run
  void Run(Work work, Done done);

 private:
  static constexpr std::size_t kAtOnce = 4, kWaitingMax = 256;
  struct Running {
    Process process;
    UniqueFd pipe;
    Loop::WatchId watch;
    std::string bytes;
    Done done;
  };
  void StartNext();
  void Read(std::uint64_t id);
  Loop& loop_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Running> running_;
  std::deque<std::pair<Work, Done>> waiting_;
};

}  // namespace slipway
