// SPDX-License-Identifier: Apache-2.0
// Ranks that wait for one another in a fence wait for ever where one of them never comes, and nobody says for
// whom. Where the user has set a limit (--mpi-timeout), this asks the fence's other nodes, once that is over,
// whether they have come, and fails the step with the ranks that are missing.
//
// Loop's thread only. It knows fences between nodes; what it is told of is PMIx's and PMI's alike.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "base/wire/wire.h"
#include "pmix/exchange/exchange.h"

namespace slipway {

// A fence as all of its nodes know it: who takes part, and how many of that name were before it.
struct FenceName {
  std::string members;
  std::vector<std::uint32_t> nodes;
  std::uint64_t number = 0;
};
void Fields(auto& archive, IsA<FenceName> auto& v) { archive(v.members, v.nodes, v.number); }

// Service::kFenceEntered: whether a node is in it, or else of which of its ranks one is not.
struct FenceState {
  bool entered = false;
  std::vector<std::uint32_t> missing;
};
void Fields(auto& archive, IsA<FenceState> auto& v) { archive(v.entered, v.missing); }

class FenceWatch {
 public:
  struct Host {
    std::uint32_t node = 0;  // ours
    std::vector<std::string> nodes;
    std::chrono::seconds limit{0};  // 0: none, and nothing is watched
    std::function<void(std::uint32_t node, Service service, std::string data, Exchange::Reply reply)> ask;
    std::function<void(std::string reason)> fail;
  };
  FenceWatch(Loop& loop, Host host) : loop_(loop), host_(std::move(host)) {}
  ~FenceWatch();
  FenceWatch(const FenceWatch&) = delete;
  FenceWatch& operator=(const FenceWatch&) = delete;

  std::uint64_t Began(FenceName fence);  // here, by all of our ranks that take part
  void Ended(std::uint64_t watched);

 private:
  // Between the question and the verdict, for nodes that do not answer.
  static constexpr std::chrono::seconds kAnswersComeWithin{2};
  struct Watched {
    FenceName fence;
    Loop::TimerId timer;
    std::map<std::uint32_t, FenceState> answers;  // by node
  };
  void OnLate(std::uint64_t watched);
  void Judge(std::uint64_t watched);

  Loop& loop_;
  const Host host_;
  std::map<std::uint64_t, Watched> watched_;
  std::uint64_t last_ = 0;
};

}  // namespace slipway
