// SPDX-License-Identifier: Apache-2.0
// How ranks of this step meet those of the job's other steps (decisions 65 and 66): names, collectives over
// several steps, data of their ranks, and ranks that come as a step of their own.
#include "agent/stepd/mpi_settings.h"
#include "agent/stepd/stepd.h"
#include "launcher/spec/task_order.h"

namespace slipway {
namespace {

// How a meeting went, from who asked for all of its step's nodes.
struct Met {
  std::int32_t code = 0;  // an Error's; 0: well
  std::string message, data;
};
void Fields(auto& archive, IsA<Met> auto& v) { archive(v.code, v.message, v.data); }

PmixWorld ForeignWorld(const JobWorld& world) {
  return {.nspace = world.name, .nodes = world.nodes, .ranks = world.ranks, .foreign = true};
}

}  // namespace

JobMeeting::Host Stepd::MeetingHost() {
  return {
      .send = [this](StepRendezvous word) { agent_.Send(StepFrame::kRendezvousOut, word); },
      .serve =
          [this](Service service, std::string data, Exchange::Reply reply) {
            if (service == Service::kModex) return Serve(spec_.node_index, service, data, std::move(reply));
            if (service != Service::kJobLaunchFailed)
              return reply(slipway::Fail(Code::kUnimplemented, "not for the rendezvous"));
            auto failed = Decode<LaunchFailed>(data, "end of a step");
            if (!failed) return reply(Failure(failed.error()));
            reply(std::string());
            if (outcome_.Fail(
                    failed->exit_code,
                    Cat("the step of spawned ranks of another image ended with code ", failed->exit_code)))
              OnFirstFailure(spec_.kill_on_bad_exit);
          },
      .worlds =
          [this] {
            std::vector<JobWorld> worlds{{nspace_, spec_.nodes, spec_.ranks}};
            for (const SpawnedWorld& spawned : spawner_.Worlds())
              worlds.push_back({spawned.name, spec_.nodes, spawned.ranks});
            return worlds;
          },
      .start = [this](std::uint32_t task, const ImageLaunch& launch) { return StartLaunch(task, launch); },
      .signal = [this](std::uint32_t task,
                       int number) { init_.Signal(static_cast<std::int32_t>(task), number); },
  };
}

// In the batch script's container, with its environment and output.
Result<> Stepd::StartLaunch(std::uint32_t task, const ImageLaunch& launch) {
  if (!ready_ || taking_down_ || init_gone_ || ranks_ended_)
    return slipway::Fail(Code::kFailedPrecondition, "the job's script has ended or is about to");
  TaskOrder order{.argv = launch.argv, .env = launch.env};
  std::vector<UniqueFd> streams;
  TRY(GiveAddedStreams(order, streams));
  return AddTask({.task = task}, order, std::move(streams));
}

// What is known to one node of the step has to be known to all: a rank may hear of it from another.
void Stepd::LearnWorlds(std::vector<JobWorld> worlds, Exchange::Reply done) {
  std::erase_if(worlds, [this](const JobWorld& world) { return foreign_worlds_.contains(world.name); });
  if (worlds.empty() || !pmix_) return done(std::string());
  struct Waiting {
    std::size_t left;
    Exchange::Reply done;
  };
  auto waiting = std::make_shared<Waiting>(Waiting{.left = spec_.nodes.size(), .done = std::move(done)});
  std::string data = Encode(worlds);
  for (std::uint32_t node = 0; node < spec_.nodes.size(); ++node) {
    exchange_.Ask(node, Service::kForeignWorlds, data, [waiting](Result<std::string> known) {
      bool failed = !known && known.error().code != Code::kUnavailable;  // who has ended need not know
      if (--waiting->left > 0 && !failed) return;
      if (Exchange::Reply done = std::exchange(waiting->done, nullptr); done)
        done(failed ? std::move(known) : Result<std::string>(std::string()));
    });
  }
  ArmExchangeTick();
}

Result<> Stepd::KnowForeign(const std::vector<JobWorld>& worlds) {
  TRY(CheckWorlds(worlds));
  for (const JobWorld& world : worlds) {
    if (!pmix_ || world.name == nspace_ || !foreign_worlds_.insert(world.name).second) continue;
    TRY(pmix_->Register(ForeignWorld(world)));
  }
  return {};
}

// Its answer to a lookup says whose the name is.
void Stepd::AskRendezvousForName(const NameRequest& request, Exchange::Reply reply) {
  bool lookup = request.kind == NameRequest::kLookup;
  meeting_.Ask(Service::kName, Encode(request), [this, lookup, reply](Result<std::string> answer) {
    if (!lookup || !answer) return reply(std::move(answer));
    auto found = Decode<FoundName>(*answer, "found name");
    if (!found) return reply(Failure(found.error()));
    LearnWorlds(std::move(found->worlds), [value = std::move(found->value), reply](Result<std::string> done) {
      reply(done ? Result<std::string>(value) : std::move(done));
    });
  });
}

// The step's part first; then the first of its nodes goes, and tells the others how it was.
void Stepd::MeetOtherSteps(const Participants& who, std::string data, Exchange::Reply answer) {
  Loop::TimerId limit;
  if (std::uint32_t limit_s = MpiFenceLimit_s(spec_); limit_s > 0) {
    limit = loop_.After(std::chrono::seconds(limit_s), [this, limit_s] {
      FailStep(1, Cat("a fence with ranks of the job's other steps did not end within ", limit_s,
                      " s (--mpi-timeout)"));
    });
  }
  Exchange::Reply reply = [this, limit, answer = std::move(answer)](Result<std::string> all) {
    loop_.Cancel(limit);
    answer(std::move(all));
  };
  exchange_.AllGather(who.members, who.nodes, std::move(data), [this, who, reply](Result<std::string> ours) {
    if (!ours) return reply(std::move(ours));
    auto share = [this, who, reply](std::string word) {
      exchange_.AllGather(
          Cat("met:", who.members), who.nodes, std::move(word), [reply](Result<std::string> all) {
            auto parts = all ? PartsOf(*all) : std::vector<std::string>();
            auto met = parts.size() == 1 ? Decode<Met>(parts[0], "meeting")
                                         : Result<Met>(Fail(Code::kUnavailable, "nobody went"));
            if (!all) return reply(std::move(all));
            if (!met) return reply(Failure(met.error()));
            if (met->code != 0) return reply(Fail(static_cast<Code>(met->code), met->message));
            reply(std::move(met->data));
          });
      ArmExchangeTick();
    };
    if (who.nodes.front() != spec_.node_index) return share({});
    MeetRequest request{who.members, meetings_[who.members]++, who.worlds, std::move(*ours)};
    meeting_.Ask(Service::kJobMeet, Encode(request), [share](Result<std::string> all) {
      Met met;
      if (!all) met.code = static_cast<std::int32_t>(all.error().code);
      (all ? met.data : met.message) = all ? std::move(*all) : all.error().message;
      share(AsPart(Encode(met)));
    });
  });
  ArmExchangeTick();
}

void Stepd::AskForImageRanks(SpawnRequest request, Exchange::Reply reply) {
  JobLaunch launch{std::move(request), MpiTimeout_s(spec_)};
  meeting_.Ask(Service::kJobLaunch, Encode(launch), [this, reply](Result<std::string> answer) {
    if (!answer) return reply(std::move(answer));
    auto launched = Decode<Launched>(*answer, "launched step");
    if (!launched) return reply(Failure(launched.error()));
    LearnWorlds(std::move(launched->worlds), [name = launched->nspace, reply](Result<std::string> done) {
      reply(done ? Result<std::string>(name) : std::move(done));
    });
  });
}

// Before the nodes agree: all of them must know the parent when they make the step's world known.
void Stepd::JoinParent(StartWord ours) {
  std::uint64_t ticket = SpawnTicketOf(spec_);
  if (ticket == 0 || spec_.node_index != 0 || !mpi()) return AgreeWithOtherNodes(std::move(ours));
  ArmWireupTimer();
  meeting_.Ask(Service::kJobJoin, Encode(ticket), [this, ours](Result<std::string> answer) mutable {
    auto joining = answer ? Decode<Joining>(*answer, "parent") : Result<Joining>(Failure(answer.error()));
    if (!joining) return FailStep(125, Cat("the spawned step finds no parent: ", joining.error().message));
    ours.parent = std::move(joining->parent);
    ours.parent_rank = joining->parent_rank;
    ours.worlds = std::move(joining->worlds);
    AgreeWithOtherNodes(std::move(ours));
  });
}

void Stepd::TellParent() {
  std::uint64_t ticket = SpawnTicketOf(spec_);
  if (ticket == 0 || spec_.node_index != 0) return;
  meeting_.Ask(Service::kJobStarted, Encode(JobStarted{ticket, nspace_}), [](Result<std::string>) {});
}

}  // namespace slipway
