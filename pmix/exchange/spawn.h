// SPDX-License-Identifier: Apache-2.0
// Ranks may ask for more ranks (MPI_Comm_spawn). Where these run must be decided in one place, or two ranks
// that ask at once would get the same processors: the step's first node keeps this ledger of who uses what.
// Spawned ranks form a world of their own with ranks from 0, beside the step's.
//
// Pure, one thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result/result.h"
#include "base/wire/wire.h"

namespace slipway {

inline constexpr std::uint32_t kSpawnRanksMax = 65536;  // of one request
inline constexpr std::size_t kSpawnProgramsMax = 1024;

struct SpawnProgram {
  std::vector<std::string> argv;
  std::vector<std::string> env;  // NAME=value, on top of the step's
  std::string cwd;               // empty: the step's
  std::uint32_t count = 0;       // ranks
};
void Fields(auto& archive, IsA<SpawnProgram> auto& v) { archive(v.argv, v.env, v.cwd, v.count); }

struct SpawnRequest {
  std::string parent;             // the asker's world
  std::uint32_t parent_rank = 0;  // and rank there
  std::vector<SpawnProgram> programs;
  std::vector<std::string> hosts;  // by name; empty: all of the step
  bool by_node = false;            // one on each node in turn, instead of filling node after node
  bool oversubscribe = false;
  bool need_not_connect = false;                         // the programs do not speak PMIx
  std::string image;                                     // another than the step's: another step's ranks
  std::vector<std::pair<std::string, std::string>> put;  // what the new world's PMI knows from the start
};
void Fields(auto& archive, IsA<SpawnRequest> auto& v) {
  archive(v.parent, v.parent_rank, v.programs, v.hosts, v.by_node, v.oversubscribe, v.need_not_connect,
          v.image, v.put);
}

// What an MPI_Info says of places: `map_by` (node, :OVERSUBSCRIBE) and `host` (names, with a comma between).
void ReadSpawnMapping(std::string_view policy, SpawnRequest& request);
void AddSpawnHosts(std::string_view list, SpawnRequest& request);

struct SpawnedWorld {
  std::uint32_t number = 0;  // 1, 2, … within the step
  std::string name;          // its PMIx namespace
  SpawnRequest request;
  std::vector<std::vector<std::uint32_t>> ranks;  // by node of the step
};
void Fields(auto& archive, IsA<SpawnedWorld> auto& v) { archive(v.number, v.name, v.request, v.ranks); }

// Which of its programs a rank runs.
std::size_t ProgramOf(const SpawnRequest& request, std::uint32_t rank);

class SpawnLedger {
 public:
  struct Node {
    std::string name;
    std::uint32_t slots = 0, used = 0;  // ranks that it has processors for; that it has
  };
  SpawnLedger() = default;
  SpawnLedger(std::string step_name, std::vector<Node> nodes);

  // kInvalidArgument, kNotFound (a host), kResourceExhausted (no room); each says what to change.
  Result<SpawnedWorld> Place(SpawnRequest request);
  // That node's part of the world is no more. True when that was the last one.
  bool Ended(std::uint32_t world, std::uint32_t node);
  bool any_live() const { return !live_.empty(); }
  std::uint32_t slots() const;  // of all nodes: MPI_UNIVERSE_SIZE

 private:
  Result<std::vector<std::uint32_t>> Eligible(const SpawnRequest& request) const;
  std::uint32_t RoomOn(std::uint32_t node, const SpawnRequest& request) const;

  std::string step_name_;
  std::vector<Node> nodes_;
  std::map<std::uint32_t, std::map<std::uint32_t, std::uint32_t>> live_;  // world → node → ranks there
  std::uint32_t last_ = 0;
};

}  // namespace slipway
