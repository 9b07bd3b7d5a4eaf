// SPDX-License-Identifier: Apache-2.0
// The host of PMI-1 and PMI-2 for one world of ranks on one node: a key-value space that fences make common,
// attributes of the node, names, abort. What goes between nodes goes through the functions given, as with
// PMIx: a fence carries what the ranks here have put since their last one.
//
// Pure state machine, one thread (the loop's); bytes come in by Receive and go out by `send`.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pmix/exchange/exchange.h"
#include "pmix/exchange/names.h"
#include "pmix/exchange/spawn.h"
#include "pmix/pmi/wire.h"

namespace slipway {

inline constexpr std::size_t kPmiKeyBytesMax = 255;
inline constexpr std::size_t kPmiValueBytesMax = 1024;
inline constexpr std::size_t kPmiPutBytesMax = 16 << 20;  // of one rank, in all

struct PmiWorld {
  std::string name;                               // the same on every node, of this world only
  std::vector<std::vector<std::uint32_t>> ranks;  // by node; 0…n-1, each once
  std::uint32_t node_index = 0;
  std::uint32_t universe_size = 0;
  // Of a spawned one.
  std::string parent;                                    // the world that asked for it; empty: not spawned
  std::vector<std::uint32_t> programs;                   // ranks of each; empty: there is one
  std::vector<std::pair<std::string, std::string>> put;  // what its key-value space begins with
};

struct PmiCallbacks {
  std::function<void(std::uint32_t rank, std::string bytes)> send;
  std::function<void(std::uint32_t rank)> connected, finalized;
  std::function<void(std::uint32_t rank, std::int32_t status, std::string message)> aborted;
  // As PmixCallbacks::fence.
  std::function<void(std::string members, std::vector<std::uint32_t> nodes, std::string data,
                     Exchange::Reply reply)>
      fence;
  std::function<void(NameRequest request, Exchange::Reply reply)>
      name;  // the answer of a lookup is the value
  // A rank wants more of them; the answer is the name of their world.
  std::function<void(SpawnRequest request, Exchange::Reply reply)> spawn;
  // The first rank here has entered a fence, whose number that is.
  std::function<void(std::uint64_t fence)> begun;
  // It has finalized or its connection has ended while others wait for it in a fence, which so never ends.
  std::function<void(std::uint32_t rank)> left;
  // The rank cannot be understood and is heard no more.
  std::function<void(std::uint32_t rank, std::string why)> broken;
};

class PmiServer {
 public:
  PmiServer(PmiWorld world, PmiCallbacks callbacks);
  void Receive(std::uint32_t rank, std::string_view bytes);
  void Gone(std::uint32_t rank);                // its connection has ended
  std::uint32_t size() const { return size_; }  // of the world
  // Local ranks that an unfinished fence waits for; 0: any of them.
  std::vector<std::uint32_t> FenceWaitsFor(std::uint64_t fence = 0) const;

 private:
  struct Session {
    PmiReader reader;
    PmiVersion version = PmiVersion::k1;
    bool greeted = false, finalized = false, gone = false;
    std::vector<std::pair<std::string, std::string>> put;  // since its last fence
    std::size_t put_bytes = 0;
    SpawnRequest spawn;  // of PMI-1, until its last program has come
  };
  struct Fence {
    std::vector<std::uint32_t> nodes;
    std::set<std::uint32_t> expected;                  // here
    std::map<std::uint32_t, std::string> waiting_for;  // rank → thrid of its request
    bool sent = false;
    std::uint64_t number = 0;
  };
  struct Waiter {
    std::uint32_t rank;
    std::string thrid, key;
  };

  // pmi1.cc, pmi2.cc: one of them answers each request; false: no such command.
  bool Handle1(std::uint32_t rank, Session& session, const PmiRequest& request);
  bool Handle2(std::uint32_t rank, Session& session, const PmiRequest& request);
  bool HandleInfo2(std::uint32_t rank, const PmiRequest& request);

  void HandleInit(std::uint32_t rank, Session& session, const PmiRequest& request);
  void Answer(std::uint32_t rank, PmiReply reply);
  PmiReply Reply2(std::string_view command, const PmiRequest& request) const;
  Result<> Put(Session& session, const std::string& key, const std::string& value);
  const std::string* Look(const std::string& key) const;
  void EnterFence(std::uint32_t rank, const std::string& group, const std::string& thrid);
  Result<Fence> FenceOf(const std::string& group) const;
  void Advance(const std::string& group);
  void EndFence(const std::string& group, Result<std::string> all);
  void Merge(std::string_view all);
  void Break(std::uint32_t rank, std::string why);
  void Spawn1(std::uint32_t rank, Session& session, const PmiRequest& request);
  void Spawn2(std::uint32_t rank, const PmiRequest& request);
  std::size_t ProgramOf(std::uint32_t rank) const;
  void PutNodeAttribute(const std::string& key, const std::string& value);
  void Name1(std::uint32_t rank, const PmiRequest& request, NameRequest::Kind kind, const char* answer);
  void Name2(std::uint32_t rank, const PmiRequest& request, NameRequest::Kind kind, const char* answer);

  const PmiWorld world_;
  const PmiCallbacks callbacks_;
  std::uint32_t size_ = 0;
  std::vector<std::uint32_t> node_of_;
  std::map<std::uint32_t, Session> sessions_;  // of every local rank
  std::map<std::string, std::string> common_;
  std::map<std::string, std::string> node_attributes_;
  std::vector<Waiter> attribute_waiters_;
  std::uint64_t last_fence_ = 0;
  std::map<std::string, Fence> fences_;  // by group; "" is the world
};

}  // namespace slipway
