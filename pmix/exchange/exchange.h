// SPDX-License-Identifier: Apache-2.0
// The ranks of one step sit on many nodes and PMIx leaves it to the host to carry their data between them.
// Each stepd has one Exchange: allgathers over any set of its nodes (a fence), requests that one node answers
// (direct modex, names, spawn), and the news that the step has failed. Frames travel stepd → agent → agent →
// stepd as opaque bytes.
//
// An allgather goes by dissemination (Bruck): in round k each node hands what it has to the node 2^k before
// it in the ring of the participants, so all is everywhere after ⌈log2 N⌉ hops, half those of a tree, and no
// node receives a byte twice. Among few nodes a hop costs more than a frame does: each hands its own to each
// other at once, which are the same bytes in one hop (decision 83). Data is compressed by the node that
// brings it (packed.h). Several may be open; one is named by who takes part (`members`, whatever the callers
// agree on) and how many of that name were before it. A node that goes fails what is open with it at once,
// with its name.
//
// Pure state machine, one thread (the loop's); callbacks run within the call that causes them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/result/result.h"
#include "base/wire/wire.h"
#include "pmix/exchange/link.h"

namespace slipway {

inline constexpr std::size_t kDirectNodesMax = 8;      // so many tell each other all at once
inline constexpr std::size_t kExchangeOpenMax = 4096;  // allgathers that others have begun and we have not

// What one node may ask of another; what each request and its answer hold is said where it is served.
enum class Service : std::uint16_t {
  kModex = 1,
  kName = 2,
  kNumber = 3,
  kEvent = 4,
  kSpawn = 5,
  kWorld = 6,
  kWorldEnded = 7,
  kFenceEntered = 8,
  kNodeGone = 9,
  // With the job's batch step (rendezvous.h); kName and kModex are asked there too.
  kJobWorlds = 10,
  kJobMeet = 11,
  kJobLaunch = 12,
  kJobJoin = 13,
  kJobStarted = 14,
  kJobLaunchFailed = 15,
  kForeignWorlds = 16,  // within a step: these are known to it now
  kSignal = 17
};
struct ModexRequest {
  std::string world;
  std::uint32_t rank = 0;
  std::string key;            // what the asker is after; empty: whatever is there
  std::uint32_t limit_s = 0;  // how long he waits for it; 0: he did not say
};
void Fields(auto& archive, IsA<ModexRequest> auto& v) { archive(v.world, v.rank, v.key, v.limit_s); }

struct ExchangeCallbacks {
  // Towards the stepd of that node; may lose, repeat and reorder.
  std::function<void(std::uint32_t node, std::string bytes)> send;
  using Reply = std::function<void(Result<std::string> data)>;
  // `node` (perhaps this one) asks: answer now or later, once.
  std::function<void(std::uint32_t node, Service service, std::string data, Reply reply)> serve;
  // Another node's part of the step has failed: ours should end with that code and reason.
  std::function<void(std::uint32_t node, std::int32_t exit_code, std::string reason)> step_failed;
};

// The parts of an allgather are joined; what must be told apart afterwards says its length first. A part that
// does not keep that ends the list.
std::string AsPart(std::string_view bytes);
std::vector<std::string> PartsOf(std::string_view all);

class Exchange {
 public:
  static constexpr std::size_t kMessageHeadBytesMax = 64;
  using Reply = ExchangeCallbacks::Reply;

  // `message_bytes_max`: what becomes longer on its way, compressed or not, is refused with
  // kResourceExhausted.
  Exchange(std::uint32_t node_index, std::vector<std::string> node_names, ExchangeCallbacks callbacks,
           std::size_t message_bytes_max = kLinkMessageBytesMax - kMessageHeadBytesMax);

  // `nodes`: sorted, each once, ours among them, the same at every participant. The answer is everybody's
  // data joined, in no promised order. kUnavailable names the node that has gone.
  void AllGather(std::string_view members, const std::vector<std::uint32_t>& nodes, std::string data,
                 Reply reply);
  // How many allgathers of that name we have entered.
  std::uint64_t Entered(std::string_view members, const std::vector<std::uint32_t>& nodes) const;
  // The answer, or the error that the other node gave. kUnavailable names the node that has gone.
  void Ask(std::uint32_t node, Service service, std::string data, Reply reply);
  void TellStepFailed(std::int32_t exit_code, std::string_view reason);  // to every other node

  // What `node` sent; an error is a peer that does not keep the protocol.
  Result<> Deliver(std::uint32_t node, std::string_view bytes);
  void PeerGone(std::uint32_t node, std::string_view reason);

  std::vector<std::string> Missing() const;  // nodes whose data open allgathers wait for
  void Tick();                               // about twice a second while wants_tick()
  void Resend();                             // a new agent carries our frames
  bool wants_tick() const;

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;  // name of the set, number
  struct Gather {
    std::vector<std::uint32_t> nodes;  // empty until we enter it
    std::size_t position = 0;          // ours in `nodes`
    std::vector<std::string> blocks;   // packed: ours, then those of the nodes behind us in the ring
    std::uint32_t round = 0;  // the one whose message we wait for; of few nodes: the nearest behind us
    Reply reply;              // set once entered, until answered
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::string> come;  // (round, node) → blocks
    std::string failure;  // not empty: failed before we entered it
  };
  struct Message;

  void SendTo(std::uint32_t node, const Message& message);
  void Handle(std::uint32_t node, Message&& message);
  void HandleBlocks(std::uint32_t node, Message&& message);
  void HandleCancel(const Message& message);
  void HandleRequest(std::uint32_t node, const Message& message);
  void HandleAnswer(std::uint32_t node, const Message& message);
  void Advance(const Key& key);
  void Finish(const Key& key);
  bool SendRound(const Key& key, const Gather& gather, std::uint32_t round);
  bool TooMuch(const Key& key, const std::vector<std::string>& blocks);
  void FailGather(const Key& key, const std::string& reason);
  static bool StillNeeds(const Gather& gather, std::uint32_t node);
  std::set<std::uint32_t> Neighbours(const Gather& gather) const;
  std::string Gone(std::uint32_t node) const;

  const std::uint32_t node_index_;
  const std::vector<std::string> names_;
  const ExchangeCallbacks callbacks_;
  const std::size_t message_bytes_max_;
  std::map<std::uint32_t, Link> links_;
  std::map<std::uint32_t, std::string> gone_;       // node → reason
  std::map<std::uint64_t, std::uint64_t> entered_;  // how many of that name we have entered
  std::map<Key, Gather> gathers_;
  struct Asked {
    std::uint32_t node;
    Reply reply;
  };
  std::map<std::uint64_t, Asked> asked_;
  std::uint64_t next_request_ = 1;
};

}  // namespace slipway
