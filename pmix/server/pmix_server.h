// SPDX-License-Identifier: Apache-2.0
// The ranks of an MPI step find one another through PMIx, and PMIx wants a host: somebody who knows every
// rank's place before the first one starts and who carries their data between nodes. This is that host for
// one step on one node, over libpmix, for the job's user.
//
// One a process. All calls and all callbacks are on the loop's thread; libpmix's threads only decode and
// post. After Start nothing may fork in this process (libpmix's child would hang).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "base/result/result.h"
#include "pmix/exchange/exchange.h"
#include "pmix/exchange/names.h"
#include "pmix/exchange/spawn.h"

namespace slipway {

class InfoArray;  // values.h

struct PmixPeer {
  std::string nspace;
  std::uint32_t rank = 0;
  bool operator==(const PmixPeer&) const = default;
};
inline constexpr std::uint32_t kAllRanks = UINT32_MAX - 1;  // of the namespace: PMIX_RANK_WILDCARD

// What one rank would have others told, on every node (PMIx_Job_control).
struct SignalRequest {
  struct Ranks {
    std::string world;
    std::uint32_t rank = 0;  // or kAllRanks
  };
  std::vector<Ranks> ranks;
  std::int32_t signal_number = 0;
};
void Fields(auto& archive, IsA<SignalRequest::Ranks> auto& v) { archive(v.world, v.rank); }
void Fields(auto& archive, IsA<SignalRequest> auto& v) { archive(v.ranks, v.signal_number); }

// Who takes part in a collective.
struct Participants {
  std::string members;               // in one spelling for all nodes
  std::vector<std::uint32_t> nodes;  // sorted
  std::vector<PmixPeer> here;
  std::vector<std::string> worlds;  // of all; empty where all ranks are this step's
};

// The step, or a world that its ranks spawned.
struct PmixWorld {
  std::string nspace;  // the same on every node; nobody else can guess it
  std::vector<std::string> nodes;
  std::vector<std::vector<std::uint32_t>> ranks;  // by node; 0…n-1, each once
  std::uint32_t node_index = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  std::uint32_t universe_size = 0;      // how many ranks the step has room for; 0: as many as this world has
  std::optional<PmixPeer> parent;       // who spawned it
  std::vector<std::uint32_t> programs;  // how many ranks each of several has; empty: there is one
  std::string session_dir;  // as the ranks see it, private to the step; empty: MPI chooses one in /tmp
  // Another step's, of the same job: `nodes` are that one's, and none of its ranks is a client of ours.
  bool foreign = false;
};

// How a rank ended that others may have counted on.
enum class RankEnd : std::uint8_t { kBySignal = 1, kByError = 2, kWithoutFinalize = 3 };

struct PmixCallbacks {
  std::function<void(const PmixPeer&peer)> connected, finalized;
  std::function<void(const PmixPeer& peer, std::int32_t status, std::string message)> aborted;
  // All local participants have come, or are lost: `data` is theirs, the reply everybody's.
  std::function<void(Participants who, std::string data, Exchange::Reply reply)> fence;
  // A local rank let go of its connection without having called finalized: before `fence` of one that no
  // longer waits for it, and perhaps again behind it.
  std::function<void(const PmixPeer& peer)> lost;
  // A local rank wants what another on `node` (nothing: of another step) has committed.
  std::function<void(std::optional<std::uint32_t> node, ModexRequest request, Exchange::Reply reply)> modex;
  std::function<void(NameRequest request, Exchange::Reply reply)> name;
  // A number that was never given before in this step, or (`of_job`) in any step of the job; 0: there is none
  // to be had.
  std::function<void(bool of_job, std::function<void(std::uint64_t)> reply)> number;
  // For DeliverEvent on every other node.
  std::function<void(std::string word)> event;
  // A local rank has asked for that fence, and has its answer (or is gone). Both or neither; where they are
  // set, the ranks' requests are looked through for them (client_tap.h). `ranks` as the rank said it,
  // kAllRanks among them.
  std::function<void(std::uint64_t id, const PmixPeer& peer, const std::vector<PmixPeer>& ranks)>
      fence_entered;
  std::function<void(std::uint64_t id)> fence_left;
  // A rank wants more of them; the answer is the name of their namespace.
  std::function<void(SpawnRequest request, Exchange::Reply reply)> spawn;
  // A line that `peer` (nothing: libpmix itself, of several) wants among its output. False: not now.
  std::function<bool(const std::optional<PmixPeer>& peer, bool to_stderr, const std::string& text)> say;
  // The answer, when all nodes have done so, is how many ranks were signalled, encoded as std::uint64_t.
  std::function<void(SignalRequest request, Exchange::Reply reply)> signal;
};

class PmixServer {
 public:
  // Starts libpmix. `private_dir`: of the host, ours, 0700. `host`: the node's name. `topology`:
  // the node's, as hwloc's XML; where it is empty it is discovered (1.4 ms, and more on machines with more
  // processors).
  static Result<std::unique_ptr<PmixServer>> Start(Loop& loop, const std::string& private_dir,
                                                   const std::string& host, uid_t uid,
                                                   PmixCallbacks callbacks, const std::string& topology = {});
  ~PmixServer();

  // Then the step is made known, and later what it spawns; ranks may connect from here on.
  Result<> Register(const PmixWorld& world);
  void Deregister(const std::string& nspace);  // none of its ranks is left
  // NAME=value lines that this rank needs to find us; carry them through every environment filter.
  Result<std::vector<std::string>> EnvironmentOf(const PmixPeer& peer);
  // What a local rank has committed, or will have: the reply waits for its first commit, and then for the key
  // that is asked for, as long as libpmix waits within a node; for both not longer than the request says.
  void ServeModex(const ModexRequest& request, Exchange::Reply reply);
  // The event that tells local ranks which have registered for it; DeliverEvent has other nodes' do so.
  static Result<std::string> EventOf(const PmixPeer& peer, RankEnd end);
  // An event of another node, or EventOf.
  Result<> DeliverEvent(std::string_view word);
  std::string version() const;

 private:
  struct Impl;
  void AddOwn(const PmixWorld& world, InfoArray& infos) const;
  void GiveCommitted(const PmixPeer& peer, Exchange::Reply reply);
  explicit PmixServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace slipway
