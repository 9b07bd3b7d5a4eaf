// SPDX-License-Identifier: Apache-2.0
// A fence that one of a node's own ranks never enters: no other node can be asked for it, and libpmix does
// not speak of it. Where the user has set a limit (--mpi-timeout), this fails the step once the first rank
// has waited that long, with the names of the node's ranks that are missing. When all of them are there, it
// is FenceWatch's affair.
//
// Loop's thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "pmix/server/pmix_server.h"

namespace slipway {

class LocalFences {
 public:
  struct Host {
    std::chrono::seconds limit{0};  // 0: none, and nothing is watched
    std::function<std::vector<std::uint32_t>(const std::string& world)> ranks_here;
    std::function<std::string(const PmixPeer& rank)> name_of;
    std::function<void(std::string reason)> fail;
  };
  LocalFences(Loop& loop, Host host) : loop_(loop), host_(std::move(host)) {}
  ~LocalFences();
  LocalFences(const LocalFences&) = delete;
  LocalFences& operator=(const LocalFences&) = delete;

  // A rank waits in the fence of these ranks (kAllRanks among them), `id` is until Left.
  void Entered(std::uint64_t id, const PmixPeer& peer, const std::vector<PmixPeer>& ranks);
  void Left(std::uint64_t id);
  // Ranks here of that world that are in no fence at all.
  std::vector<std::uint32_t> Outside(const std::string& world) const;

 private:
  using Ranks = std::vector<std::pair<std::string, std::uint32_t>>;  // sorted
  struct Waiting {
    PmixPeer peer;
    Ranks fence;
    Loop::TimerId timer;
  };
  Ranks Expanded(const std::vector<PmixPeer>& ranks) const;
  void OnLate(std::uint64_t id);

  Loop& loop_;
  const Host host_;
  std::map<std::uint64_t, Waiting> waiting_;
};

}  // namespace slipway
