// SPDX-License-Identifier: Apache-2.0
// How ranks that other ranks asked for come into the step's containers: as further tasks of the init, with
// the step's environment and the output of the rest.
#include "agent/stepd/launch_plan.h"
#include "agent/stepd/mpi_settings.h"
#include "agent/stepd/rank_environment.h"
#include "agent/stepd/stepd.h"
#include "launcher/spec/task_order.h"

namespace slipway {

Spawner::Host Stepd::SpawnHost() {
  return {
      .node = spec_.node_index,
      .nodes = spec_.nodes,
      .connect_limit = std::chrono::seconds(MpiTimeout_s(spec_)),
      .ask =
          [this](std::uint32_t node, Service service, std::string data, Exchange::Reply reply) {
            exchange_.Ask(node, service, std::move(data), std::move(reply));
            ArmExchangeTick();
          },
      .may_start = [this]() -> Result<> {
        if (ready_ && !taking_down_ && !init_gone_ && !ranks_ended_) return {};
        return slipway::Fail(Code::kFailedPrecondition, "the step's container has ended or is about to");
      },
      .make_known = [this](const SpawnedWorld& world) { return KnowSpawned(world); },
      .forget =
          [this](const SpawnedWorld& world) {
            if (pmix_) pmix_->Deregister(world.name);
            // Not here: one of its servers may be what we are called by.
            auto pmi = std::make_shared<decltype(spawned_pmi_)::node_type>(spawned_pmi_.extract(world.name));
            loop_.Post([pmi] { *pmi = {}; });
            if (!meeting_.is_member()) return names_.ForgetWorld(world.name);
            if (spec_.node_index != 0) return;
            NameRequest forget{.kind = NameRequest::kForgetWorld, .world = world.name};
            meeting_.Ask(Service::kName, Encode(forget), [](Result<std::string>) {});
          },
      .start = [this](const SpawnedWorld& world, std::uint32_t rank,
                      std::uint32_t task) { return StartSpawned(world, rank, task); },
      .signal = [this](std::uint32_t task,
                       int number) { init_.Signal(static_cast<std::int32_t>(task), number); },
      .rank_ended =
          [this](const std::string& world, std::uint32_t rank, ExitStatus status) {
            auto pmi = spawned_pmi_.find(world);
            if (pmi != spawned_pmi_.end() && pmi->second.port && !pmi->second.port->HasCome(rank))
              pmi->second.server->Gone(rank);
            ForgetNamesOf(world, rank);
            TellOfEnd({world, rank}, status, false);
          },
      .rank_failed =
          [this](std::int32_t exit_code, const std::string& reason) {
            if (outcome_.Fail(exit_code, reason)) OnFirstFailure(spec_.kill_on_bad_exit);
          },
      .changed = [this] { loop_.Post([this] { OnRanksEnded(); }); },
  };
}

Result<> Stepd::KnowSpawned(const SpawnedWorld& world) {
  if (pmi_) TRY(KnowSpawnedPmi(world));
  if (!pmix_) return {};
  PmixWorld known{.nspace = world.name,
                  .nodes = spec_.nodes,
                  .ranks = world.ranks,
                  .node_index = spec_.node_index,
                  .uid = spec_.uid,
                  .gid = spec_.gid,
                  .universe_size = universe_size_,
                  .parent = PmixPeer{world.request.parent, world.request.parent_rank},
                  .session_dir = kSessionTarget};
  for (const SpawnProgram& program : world.request.programs) known.programs.push_back(program.count);
  return pmix_->Register(known);
}

Result<> Stepd::StartSpawned(const SpawnedWorld& world, std::uint32_t rank, std::uint32_t task) {
  const SpawnProgram& program = world.request.programs[ProgramOf(world.request, rank)];
  TaskOrder order{.argv = program.argv, .env = program.env, .cwd = program.cwd};
  for (std::string& line : SpawnedEnvironment(spec_, world, rank)) order.env.push_back(std::move(line));
  if (pmix_) {
    for (std::string& line : TRY(pmix_->EnvironmentOf({world.name, rank})))
      order.env.push_back(std::move(line));
  }
  std::vector<UniqueFd> streams;
  TRY(GiveAddedStreams(order, streams));
  if (pmi_) TRY(GiveSpawnedPmi(world, rank, order, streams));
  order.cpus = spare_.Lend(task);
  return AddTask({.task = task, .member = true}, order, std::move(streams));
}

// To a client its lines are the node's first rank's: only those that the step began with have numbers there.
Result<> Stepd::GiveAddedStreams(TaskOrder& order, std::vector<UniqueFd>& streams) {
  streams.push_back(stdout_file_ ? TRY(Dup(stdout_file_.get())) : TRY(output_.Add(LocalRanks()[0], 1)));
  order.stdout_fd = 0;
  if (stderr_file_ || !stdout_file_) {
    streams.push_back(stderr_file_ ? TRY(Dup(stderr_file_.get())) : TRY(output_.Add(LocalRanks()[0], 2)));
    order.stderr_fd = 1;
  } else {
    order.stderr_fd = 0;
  }
  return {};
}

Result<> Stepd::AddTask(RunTask run, const TaskOrder& order, std::vector<UniqueFd> streams) {
  std::string bytes = Encode(order);
  if (bytes.size() > kTaskOrderBytesMax)
    return slipway::Fail(Code::kInvalidArgument, "the arguments and environment of ", order.argv[0], " are ",
                         bytes.size(), " bytes; at most ", kTaskOrderBytesMax);
  std::vector<UniqueFd> fds;
  fds.push_back(TRY(MakeSealedMemfd("slipway-task", bytes)));
  for (UniqueFd& stream : streams) fds.push_back(std::move(stream));
  init_.Add(run, std::move(fds));
  return {};
}

Result<> Stepd::KnowSpawnedPmi(const SpawnedWorld& world) {
  PmiWorld known{.name = world.name,
                 .ranks = world.ranks,
                 .node_index = spec_.node_index,
                 .universe_size = universe_size_,
                 .parent = world.request.parent,
                 .put = world.request.put};
  for (const SpawnProgram& program : world.request.programs) known.programs.push_back(program.count);
  SpawnedPmi& pmi = spawned_pmi_[world.name];
  pmi.server = std::make_unique<PmiServer>(std::move(known), SpawnedPmiEvents(world.name));
  PmiServer* server = pmi.server.get();
  pmi.sockets = std::make_unique<RankSockets>(
      loop_,
      RankSockets::Events{
          .received = [server](std::uint32_t rank, std::string_view bytes) { server->Receive(rank, bytes); },
          .closed = [server](std::uint32_t rank) { server->Gone(rank); }});
  if (!WantsPmiPort(spec_)) return {};
  pmi.port = TRY(OpenPmiPort(*server, *pmi.sockets, world.ranks[spec_.node_index]));
  return {};
}

// As those of the step's own world, but for whose rank it was.
PmiCallbacks Stepd::SpawnedPmiEvents(const std::string& world) {
  PmiCallbacks events = PmiEvents();
  auto fail = [this, world](std::uint32_t rank, const std::string& what) {
    std::string name = spawner_.NameOf(world, rank);
    if (!result_ && !name.empty()) FailStep(1, Cat(name, what));
  };
  events.send = [this, world](std::uint32_t rank, std::string bytes) {
    if (auto at = spawned_pmi_.find(world); at != spawned_pmi_.end())
      at->second.sockets->Send(rank, std::move(bytes));
  };
  events.connected = [this, world](std::uint32_t rank) { spawner_.OnConnected(world, rank); };
  events.finalized = [](std::uint32_t) {};
  events.aborted = [this, world](std::uint32_t rank, std::int32_t status, const std::string&) {
    OnAborted(world, rank, status);
  };
  events.begun = [](std::uint64_t) {};
  events.left = [fail](std::uint32_t rank) { fail(rank, " ended while the others wait for it in a fence"); };
  events.broken = [fail](std::uint32_t rank, const std::string& why) {
    fail(rank, Cat(" does not speak PMI as it should: ", why));
  };
  return events;
}

Result<> Stepd::GiveSpawnedPmi(const SpawnedWorld& world, std::uint32_t rank, TaskOrder& order,
                               std::vector<UniqueFd>& streams) {
  SpawnedPmi& pmi = spawned_pmi_.at(world.name);
  order.env.push_back(Cat("PMI_RANK=", rank));
  order.env.push_back(Cat("PMI_SIZE=", pmi.server->size()));
  order.env.push_back("PMI_SPAWNED=1");
  if (pmi.port) {
    order.env.push_back(Cat("PMI_PORT=", pmi.port->address()));
    order.env.push_back(Cat("PMI_ID=", rank));
    return {};
  }
  streams.push_back(TRY(pmi.sockets->Open(rank)));
  order.kept_fd = static_cast<std::int32_t>(streams.size()) - 1;
  order.kept_fd_variable = "PMI_FD";
  return {};
}

// Who asked sees only a number; what to do about it is told where the ranks' stderr goes.
void Stepd::AskForRanks(SpawnRequest request, Exchange::Reply reply) {
  auto told = [this, rank = request.parent_rank, reply = std::move(reply)](Result<std::string> name) {
    if (!name) Warn(Cat("rank ", rank, " got no more ranks: ", name.error().message));
    reply(std::move(name));
  };
  if (auto chosen = ChooseSpawnImage(spec_, request); !chosen) return told(Failure(chosen.error()));
  if (!request.image.empty()) return AskForImageRanks(std::move(request), std::move(told));
  exchange_.Ask(0, Service::kSpawn, Encode(request), std::move(told));
  ArmExchangeTick();
}

}  // namespace slipway
