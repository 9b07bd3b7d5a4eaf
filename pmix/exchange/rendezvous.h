// SPDX-License-Identifier: Apache-2.0
// Steps of one job want to find each other: a name that one has published, a communicator over both, ranks in
// containers of another image (decisions 65 and 66). Their stepds know only their own step's. The job's batch
// step keeps this for all of them: each stepd that needs it is a member and has an exchange of two nodes with
// it, in which the rendezvous is node 0 and the member node 1.
//
// Pure, one thread; replies run within the call that causes them.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "pmix/exchange/exchange.h"
#include "pmix/exchange/names.h"
#include "pmix/exchange/spawn.h"

namespace slipway {

// A PMIx namespace, as the nodes of another step need it.
struct JobWorld {
  std::string name;
  std::vector<std::string> nodes;                 // of its step, by name
  std::vector<std::vector<std::uint32_t>> ranks;  // by node; 0…n-1, each once
};
void Fields(auto& archive, IsA<JobWorld> auto& v) { archive(v.name, v.nodes, v.ranks); }
// What another step says of its worlds: that these can be registered.
Result<> CheckWorlds(const std::vector<JobWorld>& worlds);

// The answer of kName for a lookup.
struct FoundName {
  std::string value;
  std::vector<JobWorld> worlds;  // of the step that published it; empty: the asker's own
};
void Fields(auto& archive, IsA<FoundName> auto& v) { archive(v.value, v.worlds); }

// kJobMeet: a step as a whole has come to a collective with others. The answer is the data of all.
struct MeetRequest {
  std::string members;              // the same from every step
  std::uint64_t number = 0;         // how many of these members were before it
  std::vector<std::string> worlds;  // of all that take part
  std::string data;
};
void Fields(auto& archive, IsA<MeetRequest> auto& v) { archive(v.members, v.number, v.worlds, v.data); }

// kJobLaunch: ranks of another image are wanted. The answer comes when all have called MPI_Init.
struct JobLaunch {
  SpawnRequest request;
  std::uint32_t limit_s = 0;  // for that; 0: none
};
void Fields(auto& archive, IsA<JobLaunch> auto& v) { archive(v.request, v.limit_s); }
struct Launched {
  std::string nspace;
  std::vector<JobWorld> worlds;
};
void Fields(auto& archive, IsA<Launched> auto& v) { archive(v.nspace, v.worlds); }
// kJobJoin (a ticket) asks for it: the first node of the step that was launched so.
struct Joining {
  std::string parent;  // the world that asked for it
  std::uint32_t parent_rank = 0;
  std::vector<JobWorld> worlds;  // of that step
};
void Fields(auto& archive, IsA<Joining> auto& v) { archive(v.parent, v.parent_rank, v.worlds); }
struct JobStarted {  // kJobStarted: and its ranks are there
  std::uint64_t ticket = 0;
  std::string nspace;
};
void Fields(auto& archive, IsA<JobStarted> auto& v) { archive(v.ticket, v.nspace); }
struct LaunchFailed {  // kJobLaunchFailed, to who asked for it: after its start
  std::string nspace;
  std::int32_t exit_code = 0;
};
void Fields(auto& archive, IsA<LaunchFailed> auto& v) { archive(v.nspace, v.exit_code); }

inline constexpr std::size_t kMembersMax = 65536, kJobWorldsMax = 65536, kMeetsMax = 4096, kLaunchesMax = 128;

class Rendezvous {
 public:
  struct Member {
    std::uint32_t step = 0;
    std::string node;
    auto operator<=>(const Member&) const = default;
  };
  struct Host {
    // `gone`, not empty: what comes of that member is no longer heard.
    std::function<void(const Member& to, std::string bytes, std::string gone)> send;
    // Start the command that makes the step, with that ticket in its environment; LaunchEnded follows.
    std::function<Result<>(std::uint64_t ticket, const JobLaunch& launch)> launch;
    std::function<void(std::uint64_t ticket)> stop;  // end the command
  };
  explicit Rendezvous(Host host) : host_(std::move(host)) {}
  ~Rendezvous();

  Result<> Deliver(const Member& from, std::string_view bytes);
  void StepGone(const Member& who, std::string_view reason);
  void NodeGone(const std::string& node, std::string_view reason);
  void LaunchEnded(std::uint64_t ticket, std::int32_t exit_code);

  void Tick();  // as of an exchange
  void Resend();
  bool wants_tick() const;

 private:
  struct Known {
    std::unique_ptr<Exchange> exchange;  // lives on after the member has gone: replies of it may be kept
    std::uint32_t node_number = 0;
    bool heard = false, gone = false;
  };
  struct Place {
    std::uint32_t step = 0;
    JobWorld world;
  };
  struct Meet {
    std::map<std::uint32_t, Exchange::Reply> come;  // by step
    std::set<std::uint32_t> steps;                  // all of them
    std::string data;
  };
  struct Launch {
    SpawnRequest request;
    Member parent;
    Exchange::Reply reply;  // until it has started
    std::string nspace;
    std::uint32_t step = 0;
    bool joined = false;
  };

  Result<Known*> MemberOf(const Member& who);
  void OneGone(const Member& who, std::string_view reason);
  void Serve(const Member& from, Service service, const std::string& data, Exchange::Reply reply);
  void ServeName(const Member& from, const std::string& data, Exchange::Reply reply);
  Result<> LearnWorlds(const Member& from, const std::string& data);
  void ServeMeet(const Member& from, const std::string& data, Exchange::Reply reply);
  void ServeModex(const std::string& data, Exchange::Reply reply);
  void ServeLaunch(const Member& from, const std::string& data, Exchange::Reply reply);
  Result<std::string> Join(const Member& from, const std::string& data);
  Result<> Started(const Member& from, const std::string& data);
  void LeaveMeets(std::uint32_t step, const std::string& reason);
  std::vector<JobWorld> WorldsOf(std::uint32_t step) const;
  std::uint32_t NumberOf(const std::string& node);

  const Host host_;
  std::map<Member, Known> members_;
  std::map<std::string, std::uint32_t> node_numbers_;
  std::map<std::string, Place> worlds_;  // by name
  NameDirectory names_;
  std::map<std::pair<std::string, std::uint64_t>, Meet> meets_;
  std::map<std::uint64_t, Launch> launches_;  // by ticket
  std::uint64_t last_ticket_ = 0;
  std::uint64_t last_number_ = std::uint64_t{1} << 32;  // a step's own are below
};

}  // namespace slipway
