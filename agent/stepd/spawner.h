// SPDX-License-Identifier: Apache-2.0
// MPI_Comm_spawn: a rank asks for more ranks. The step's first node decides where they run (SpawnLedger),
// makes their world known to every node before the first of them can be heard of, then has them started, and
// answers the asker when all have called MPI_Init: a program that is not there, or is no MPI program, is an
// error that the asker can catch, not a parent that waits for ever.
//
// One a stepd: the first node's part and each node's own. Loop's thread only; the world is in Host.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

#include "base/loop/loop.h"
#include "base/os/process.h"
#include "launcher/spec/init_protocol.h"
#include "pmix/exchange/exchange.h"
#include "pmix/exchange/spawn.h"
#include "pmix/server/pmix_server.h"

namespace slipway {

class Spawner {
 public:
  struct Host {
    std::uint32_t node = 0;  // ours
    std::vector<std::string> nodes;
    std::chrono::seconds connect_limit{0};  // until all ranks of a world have called MPI_Init; 0: none
    std::function<void(std::uint32_t node, Service service, std::string data, Exchange::Reply reply)> ask;
    std::function<Result<>()> may_start;  // why no rank can be started here any more
    std::function<Result<>(const SpawnedWorld& world)> make_known;
    std::function<void(const SpawnedWorld& world)> forget;
    std::function<Result<>(const SpawnedWorld& world, std::uint32_t rank, std::uint32_t task)> start;
    std::function<void(std::uint32_t task, int signal_number)> signal;
    std::function<void(const std::string& world, std::uint32_t rank, ExitStatus status)> rank_ended;
    std::function<void(std::int32_t exit_code, std::string reason)> rank_failed;
    std::function<void()> changed;  // running() or any_world() may have become false
  };
  Spawner(Loop& loop, Host host) : loop_(loop), host_(std::move(host)) {}
  ~Spawner();
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;

  // On the first node, before ranks run.
  void Lead(SpawnLedger ledger) { ledger_ = std::move(ledger); }

  // What other nodes (or this one) ask: kSpawn and kWorldEnded on the first, kWorld on any.
  void Serve(std::uint32_t node, Service service, std::string_view data, Exchange::Reply reply);

  // What the init and PMIx say of spawned ranks.
  void OnStarted(std::uint32_t task);
  void OnExited(std::uint32_t task, std::int32_t wait_status);
  void OnNotStarted(const TaskFailed& failed);
  void OnConnected(const std::string& world, std::uint32_t rank);
  void OnInitGone();
  void OnPeerGone(std::uint32_t node);
  // "rank 1 of spawned world 2 on n1"; empty when it is none of ours.
  std::string NameOf(const std::string& world, std::uint32_t rank) const;
  std::vector<PmixPeer> RanksOn(std::uint32_t node) const;  // of all spawned worlds
  std::vector<SpawnedWorld> Worlds() const;
  std::uint64_t Signal(const std::string& world, std::uint32_t rank, int signal_number);  // how many here

  bool running() const { return !tasks_.empty(); }       // here
  bool any_world() const { return ledger_.any_live(); }  // anywhere; known on the first node only

 private:
  enum class Stage : std::uint8_t { kPrepare = 1, kStart = 2, kKill = 3, kForget = 4 };
  struct Order;
  using Done = std::function<void(Result<> done)>;

  // The first node's part.
  void Place(SpawnRequest request, Exchange::Reply reply);
  void TellNodes(Stage stage, const SpawnedWorld& world, Done done);
  void Abandon(const SpawnedWorld& world);
  void OnEnded(std::uint32_t number, std::uint32_t node);

  // Each node's.
  struct Rank {
    bool alive = false, connected = false, started = false;
  };
  struct World {
    SpawnedWorld what;
    std::map<std::uint32_t, Rank> ranks;  // here
    Exchange::Reply starting;             // set until all are there
    Loop::TimerId timer;
    bool killed = false;
  };
  struct Task {
    std::uint32_t world = 0, rank = 0;
  };
  void Prepare(SpawnedWorld world, const Exchange::Reply& reply);
  void Start(std::uint32_t number, Exchange::Reply reply);
  void MaybeAllThere(World& world);
  void FailStart(World& world, Error error);
  void KillHere(std::uint32_t number);
  void Ended(Task task, ExitStatus status, const std::string& how);
  void SayEnded(std::uint32_t number);
  std::string NameOf(const World& world, std::uint32_t rank) const;

  Loop& loop_;
  const Host host_;
  SpawnLedger ledger_;
  std::map<std::uint32_t, SpawnedWorld> led_;  // worlds that the first node has placed
  std::map<std::uint32_t, World> worlds_;      // known here
  std::map<std::uint32_t, Task> tasks_;        // that run here
  std::uint32_t next_task_ = kSpawnedTaskFirst;
};

}  // namespace slipway
