// SPDX-License-Identifier: Apache-2.0
// A descriptor that is open when a rank starts ($PMI_FD) does not reach a program that the rank starts by way
// of something that closes descriptors (Python's subprocess, ssh to itself, a daemon). For such there is the
// older way: $PMI_PORT names a port of this host and $PMI_ID the rank, and the program calls. This answers
// those calls until it is known which rank it is; then the connection is as good as a descriptor.
//
// Only processes of one user are let in (peer_owner.h), each rank once. A caller that does not say in time
// who it is is let go of.
//
// Facts: PMI-1 begins with "cmd=initack pmiid=N" and is told size, rank and debug level (MPICH's
// src/pmi/simple/simple_pmi.c); PMI-2 has no such line and names its rank in its first command, fullinit.
//
// Loop's thread only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop/loop.h"
#include "base/os/fd.h"
#include "pmix/pmi/wire.h"

namespace slipway {

inline constexpr std::size_t kRankPortCallersMax = 256;  // that have not said who they are
inline constexpr auto kRankPortPatience = std::chrono::seconds(5);

class RankPort {
 public:
  struct Ranks {
    std::vector<std::uint32_t> here;
    std::uint32_t size = 0;  // of the world
  };
  // `rank` has called. `answered`: what it has sent and got its answer for, as the server must know of it
  // too; `unanswered`: what it has sent behind that.
  using Come = std::function<void(std::uint32_t rank, UniqueFd connection, std::string_view answered,
                                  std::string_view unanswered)>;
  static Result<std::unique_ptr<RankPort>> Open(Loop& loop, uid_t uid, const Ranks& ranks, Come come);
  ~RankPort();
  RankPort(const RankPort&) = delete;
  RankPort& operator=(const RankPort&) = delete;

  const std::string& address() const { return address_; }  // "127.0.0.1:PORT"
  bool HasCome(std::uint32_t rank) const { return !expected_.contains(rank); }

 private:
  struct Caller {
    UniqueFd fd;
    Loop::WatchId watch;
    Loop::TimerId timer;
    PmiReader reader;
    std::string come;
    std::size_t answered_bytes = 0;  // of these
    bool second_version = false;
  };
  RankPort(Loop& loop, uid_t uid, const Ranks& ranks, Come come);
  Result<> Listen();
  void OnCaller();
  void OnBytes(std::uint64_t id);
  // Which rank it is, when it has said so; an error: it is none that we expect.
  Result<std::optional<std::uint32_t>> Hear(Caller& caller, std::string_view bytes);
  Result<> Answer(Caller& caller, std::string_view bytes);
  void Forget(std::uint64_t id);

  Loop& loop_;
  const uid_t uid_;
  const std::uint32_t size_;
  const Come come_;
  std::set<std::uint32_t> expected_;
  UniqueFd listener_;
  Loop::WatchId watch_;
  bool watched_ = false;
  std::string address_;
  std::map<std::uint64_t, Caller> callers_;
  std::uint64_t next_caller_ = 1;
};

}  // namespace slipway
