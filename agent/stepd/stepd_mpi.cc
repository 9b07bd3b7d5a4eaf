// SPDX-License-Identifier: Apache-2.0
// How the ranks of a step find one another: the hosts of PMIx and PMI that it offers, what the nodes must
// agree upon before, and when they are wired up.
#include <numeric>
#include <thread>

#include "agent/stepd/image_launch.h"
#include "agent/stepd/mpi_settings.h"
#include "agent/stepd/rank_environment.h"
#include "agent/stepd/stepd.h"
#include "base/text/text.h"

namespace slipway {
namespace {

// Nodes without missing ranks let those that have some speak first.
constexpr auto kOthersSpeakFirst = std::chrono::seconds(2);
// Between the end of a rank's connection and the news of its own end.
constexpr auto kRankEndIsNear = std::chrono::seconds(5);
constexpr std::size_t kNamedMax = 16;

std::size_t ProcessorsHere(const StepSpec& spec) {
  return spec.cpus.empty() ? std::thread::hardware_concurrency() : spec.cpus.size();
}

template <class Number>
std::string Named(const std::vector<Number>& all) {
  std::vector<std::string> words;
  for (Number one : all) {
    if (words.size() < kNamedMax) words.push_back(std::to_string(one));
  }
  return Join(words, ", ") + (all.size() > kNamedMax ? ", …" : "");
}

}  // namespace

Result<> Stepd::StartMpi() {
  if (!OffersPmix(spec_.mpi)) return {};
  auto dir = MakeTempDirectory(run_dir_, "pmix-");
  private_dir_ = dir ? *dir : TRY(MakeTempDirectory("/tmp", "slipway-pmix-"));
  pmix_ = TRY(PmixServer::Start(loop_, private_dir_, spec_.nodes[spec_.node_index], spec_.uid, PmixEvents(),
                                spec_.topology));
  MarkLap("pmix server");
  return {};
}

// The PMIx namespace must be the same on all nodes and known to nobody else, so the first node's stepd makes
// it up and tells the others; where a file is to be emptied, nobody writes before it has been.
void Stepd::AgreeWithOtherNodes(StartWord ours) {
  bool files = !spec_.append_output && (stdout_file_ || stderr_file_);
  if (!several_nodes() || (!mpi() && !files)) return OnAgreed(ours);
  std::vector<std::uint32_t> nodes(spec_.nodes.size());
  std::iota(nodes.begin(), nodes.end(), 0);
  ArmWireupTimer();
  exchange_.AllGather("start", nodes, AsPart(Encode(ours)), [this](Result<std::string> all) {
    auto agreed = all ? Agree(*all) : Result<StartWord>(Failure(all.error()));
    if (!agreed) return FailStep(125, Cat("the step cannot start: ", agreed.error().message));
    MarkLap("all nodes there");
    OnAgreed(*agreed);
  });
  ArmExchangeTick();
}

void Stepd::OnAgreed(const StartWord& agreed) {
  if (outcome_.failed()) return;
  devices_ = agreed.devices;
  nspace_ = agreed.nspace;
  SpawnLedger ledger(nspace_, SlotsOf(spec_, agreed));
  universe_size_ = ledger.slots();
  if (spec_.node_index == 0) spawner_.Lead(std::move(ledger));
  auto registered = mpi() ? RegisterMpi(agreed) : Result<>{};
  auto launched = registered ? Launch() : std::move(registered);
  if (!launched) FailStep(125, launched.error().message);
}

Result<> Stepd::RegisterMpi(const StartWord& agreed) {
  if (OffersPmi(spec_.mpi)) {
    pmi_ = std::make_unique<PmiServer>(PmiWorld{.name = nspace_,
                                                .ranks = spec_.ranks,
                                                .node_index = spec_.node_index,
                                                .universe_size = universe_size_},
                                       PmiEvents());
    if (WantsPmiPort(spec_)) pmi_port_ = TRY(OpenPmiPort(*pmi_, pmi_sockets_, LocalRanks()));
  }
  if (!pmix_) return {};
  PmixWorld world{.nspace = nspace_,
                  .nodes = spec_.nodes,
                  .ranks = spec_.ranks,
                  .node_index = spec_.node_index,
                  .uid = spec_.uid,
                  .gid = spec_.gid,
                  .universe_size = universe_size_,
                  .programs = SpawnProgramsOf(spec_),
                  .session_dir = kSessionTarget};
  if (!agreed.parent.empty()) world.parent = PmixPeer{agreed.parent, agreed.parent_rank};
  TRY(pmix_->Register(world));
  return KnowForeign(agreed.worlds);
}

Result<> Stepd::GiveMpi(LaunchSpec& launch, std::vector<UniqueFd>& fds) {
  MpiSettings settings = MpiSettingsOf(spec_, devices_, ProcessorsHere(spec_));
  launch.env.insert(launch.env.end(), settings.env.begin(), settings.env.end());
  for (Task& task : launch.tasks) {
    if (pmi_) TRY(GivePmi(task, fds));
    if (!pmix_) continue;
    for (std::string& line : TRY(pmix_->EnvironmentOf({nspace_, task.rank})))
      task.env.push_back(std::move(line));
  }
  if (!WantsMpiReport(spec_) || spec_.node_index != 0) return {};
  Warn(Cat("mpi: offered: ", pmix_ ? Cat("PMIx (", pmix_->version(), ")") : std::string(),
           pmix_ && pmi_ ? ", " : "", pmi_ ? "PMI-1, PMI-2" : "",
           pmi_port_ ? Cat(" at ", pmi_port_->address()) : std::string()));
  for (const std::string& reason : settings.reasons) Warn("mpi: " + reason);
  return {};
}

Result<> Stepd::GivePmi(Task& task, std::vector<UniqueFd>& fds) {
  task.env.push_back(Cat("PMI_RANK=", task.rank));
  task.env.push_back(Cat("PMI_SIZE=", pmi_->size()));
  if (pmi_port_) {
    task.env.push_back(Cat("PMI_PORT=", pmi_port_->address()));
    task.env.push_back(Cat("PMI_ID=", task.rank));
    return {};
  }
  fds.push_back(TRY(pmi_sockets_.Open(task.rank)));
  task.kept_fd = static_cast<std::int32_t>(fds.size()) - 1;
  task.kept_fd_variable = "PMI_FD";
  return {};
}

Result<std::unique_ptr<RankPort>> Stepd::OpenPmiPort(PmiServer& server, RankSockets& sockets,
                                                     std::vector<std::uint32_t> ranks_here) {
  return RankPort::Open(loop_, spec_.uid, {.here = std::move(ranks_here), .size = server.size()},
                        [&server, &sockets](std::uint32_t rank, UniqueFd connection,
                                            std::string_view answered, std::string_view unanswered) {
                          server.Receive(rank, answered);  // what it says to that goes nowhere yet
                          if (!sockets.Adopt(rank, std::move(connection))) return server.Gone(rank);
                          server.Receive(rank, unanswered);
                        });
}

PmixCallbacks Stepd::PmixEvents() {
  PmixCallbacks events = PmixRequestEvents();
  if (MpiFenceLimit_s(spec_) == 0) return events;
  events.fence_entered = [this](std::uint64_t id, const PmixPeer& peer, const std::vector<PmixPeer>& ranks) {
    local_fences_.Entered(id, peer, ranks);
  };
  events.fence_left = [this](std::uint64_t id) { local_fences_.Left(id); };
  return events;
}

PmixCallbacks Stepd::PmixRequestEvents() {
  return {
      .connected =
          [this](const PmixPeer& peer) {
            if (peer.nspace != nspace_) return spawner_.OnConnected(peer.nspace, peer.rank);
            OnConnected(peer.rank);
          },
      .finalized =
          [this](const PmixPeer& peer) {
            if (peer.nspace == nspace_) outcome_.RankFinalized(peer.rank);
          },
      .aborted = [this](const PmixPeer& peer, std::int32_t status,
                        const std::string&) { OnAborted(peer.nspace, peer.rank, status); },
      .fence = [this](const Participants& who, std::string data,
                      Exchange::Reply reply) { OnPmixFence(who, std::move(data), std::move(reply)); },
      .lost = [this](const PmixPeer& peer) { OnLost(peer); },
      .modex =
          [this](std::optional<std::uint32_t> node, const ModexRequest& request, Exchange::Reply reply) {
            if (!node) return meeting_.Ask(Service::kModex, Encode(request), std::move(reply));
            exchange_.Ask(*node, Service::kModex, Encode(request), std::move(reply));
            ArmExchangeTick();
          },
      .name = [this](NameRequest request,
                     Exchange::Reply reply) { AskForName(std::move(request), std::move(reply)); },
      .number = [this](bool of_job,
                       std::function<void(std::uint64_t)> reply) { AskForNumber(of_job, std::move(reply)); },
      .event = [this](std::string word) { TellOthersEvent(word); },
      .spawn = [this](SpawnRequest request,
                      Exchange::Reply reply) { AskForRanks(std::move(request), std::move(reply)); },
      .say = [this](const std::optional<PmixPeer>& peer, bool to_stderr,
                    const std::string& text) { return SayFor(peer, to_stderr, text); },
      .signal = [this](const SignalRequest& request,
                       Exchange::Reply reply) { AskForSignal(request, std::move(reply)); },
  };
}

PmiCallbacks Stepd::PmiEvents() {
  return {
      .send = [this](std::uint32_t rank, std::string bytes) { pmi_sockets_.Send(rank, std::move(bytes)); },
      .connected = [this](std::uint32_t rank) { OnConnected(rank); },
      .finalized = [this](std::uint32_t rank) { outcome_.RankFinalized(rank); },
      .aborted = [this](std::uint32_t rank, std::int32_t status,
                        std::string) { OnAborted(nspace_, rank, status); },
      .fence =
          [this](std::string members, std::vector<std::uint32_t> nodes, std::string data,
                 Exchange::Reply reply) {
            OnFence(std::move(members), std::move(nodes), std::move(data), std::move(reply));
          },
      .name = [this](NameRequest request,
                     Exchange::Reply reply) { AskForName(std::move(request), std::move(reply)); },
      .spawn = [this](SpawnRequest request,
                      Exchange::Reply reply) { AskForRanks(std::move(request), std::move(reply)); },
      .begun = [this](std::uint64_t fence) { OnPmiFenceBegun(fence); },
      .left = [this](std::uint32_t rank) { OnLeftInFence(rank); },
      .broken =
          [this](std::uint32_t rank, std::string why) {
            FailStep(1, Cat("rank ", rank, " on ", spec_.nodes[spec_.node_index],
                            " does not speak PMI as it should: ", why));
          },
  };
}

void Stepd::OnAborted(const std::string& world, std::uint32_t rank, std::int32_t status) {
  std::string spawned = world == nspace_ ? std::string() : spawner_.NameOf(world, rank);
  if (spawned.empty() ? outcome_.RankAborted(rank, status) : outcome_.SpawnedAborted(spawned, status))
    OnFirstFailure(true);
}

void Stepd::ArmWireupTimer() {
  std::uint32_t limit_s = MpiTimeout_s(spec_);
  loop_.Cancel(wireup_timer_);
  if (limit_s > 0) wireup_timer_ = loop_.After(std::chrono::seconds(limit_s), [this] { OnWireupTimeout(); });
}

void Stepd::OnConnected(std::uint32_t rank) {
  if (outcome_.all_connected()) return;  // a rank's child connects in its name
  if (!outcome_.any_connected()) {
    MarkLap("first rank connected");
    if (spec_.mpi == MpiKind::kAuto) ArmWireupTimer();  // now it is known to be an MPI job
  }
  if (outcome_.RankConnected(rank)) OnFirstFailure(true);
  if (!outcome_.all_connected()) return;
  MarkLap("all ranks connected");
  if (!several_nodes()) OnWiredUp();  // libpmix fences by itself within a node
}

void Stepd::OnFence(std::string members, std::vector<std::uint32_t> nodes, std::string data,
                    Exchange::Reply reply) {
  // Until the ranks are wired up they have a limit in all.
  std::uint64_t watched =
      wired_up_ ? fence_watch_.Began({members, nodes, exchange_.Entered(members, nodes)}) : 0;
  exchange_.AllGather(members, nodes, std::move(data),
                      [this, watched, reply = std::move(reply)](Result<std::string> all) {
                        fence_watch_.Ended(watched);
                        if (all) {
                          OnWiredUp();
                        } else if (!outcome_.failed() && spec_.kill_on_bad_exit) {
                          FailStep(1, Cat("the ranks cannot exchange data: ", all.error().message));
                        }
                        reply(std::move(all));
                      });
  ArmExchangeTick();
}

FenceWatch::Host Stepd::FenceHost() {
  return {.node = spec_.node_index,
          .nodes = spec_.nodes,
          .limit = std::chrono::seconds(MpiFenceLimit_s(spec_)),
          .ask =
              [this](std::uint32_t node, Service service, std::string data, Exchange::Reply reply) {
                exchange_.Ask(node, service, std::move(data), std::move(reply));
                ArmExchangeTick();
              },
          .fail = [this](std::string reason) { FailStep(1, reason); }};
}

LocalFences::Host Stepd::LocalFenceHost() {
  return {.limit = std::chrono::seconds(MpiFenceLimit_s(spec_)),
          .ranks_here =
              [this](const std::string& world) {
                if (world == nspace_) return LocalRanks();
                std::vector<std::uint32_t> ranks;
                for (const PmixPeer& peer : spawner_.RanksOn(spec_.node_index)) {
                  if (peer.nspace == world) ranks.push_back(peer.rank);
                }
                return ranks;
              },
          .name_of =
              [this](const PmixPeer& peer) {
                std::string spawned =
                    peer.nspace == nspace_ ? std::string() : spawner_.NameOf(peer.nspace, peer.rank);
                return spawned.empty() ? Cat("rank ", peer.rank, " on ", spec_.nodes[spec_.node_index])
                                       : spawned;
              },
          .fail = [this](std::string reason) { FailStep(1, reason); }};
}

// Ranks that are being ended leave their fences; what they are ended for was told before.
Result<FenceState> Stepd::StateOf(const FenceName& fence) const {
  if (outcome_.failed() || taking_down_)
    return Fail(Code::kFailedPrecondition, "its part of the step has failed");
  if (exchange_.Entered(fence.members, fence.nodes) > fence.number) return FenceState{.entered = true};
  FenceState state{.missing = pmi_ ? pmi_->FenceWaitsFor() : std::vector<std::uint32_t>{}};
  if (state.missing.empty() && pmix_) state.missing = local_fences_.Outside(nspace_);
  if (state.missing.empty()) state.missing = LocalRanks();
  return state;
}

// One that no node has entered with all its ranks is seen by none of the others.
void Stepd::OnPmiFenceBegun(std::uint64_t fence) {
  std::uint32_t limit_s = MpiFenceLimit_s(spec_);
  if (!wired_up_ || limit_s == 0) return;
  loop_.After(std::chrono::seconds(limit_s), [this, fence, limit_s] {
    std::vector<std::uint32_t> missing = pmi_->FenceWaitsFor(fence);
    if (missing.empty() || result_) return;
    FailStep(1, Cat("a fence did not end within ", limit_s, " s (--mpi-timeout); missing: rank ",
                    Named(missing), " on ", spec_.nodes[spec_.node_index]));
  });
}

void Stepd::OnWiredUp() {
  if (wired_up_) return;
  wired_up_ = true;
  loop_.Cancel(wireup_timer_);
  MarkLap("wired up");
  TellParent();
  EnterPhase(StepPhase::kRunning);
}

void Stepd::FailForEndInFence(std::uint32_t rank) {
  FailStep(1, Cat("rank ", rank, " on ", spec_.nodes[spec_.node_index],
                  " ended while the others wait for it in a fence"));
}

// Its own end says why, if it comes; if it only let go of its connection, nobody else will say so. It may
// have ended before the others entered the fence.
void Stepd::OnLeftInFence(std::uint32_t rank) {
  if (!left_in_fence_.insert(rank).second) return;
  if (outcome_.Exited(rank)) {
    if (!outcome_.failed()) FailForEndInFence(rank);
    return;
  }
  loop_.After(kRankEndIsNear, [this, rank] {
    if (result_ || outcome_.Exited(rank)) return;
    FailStep(1, Cat("rank ", rank, " on ", spec_.nodes[spec_.node_index],
                    " left MPI while the others wait for it in a fence"));
  });
}

// libpmix goes on without those that it has lost, and so would the others, with data that lacks theirs. Who
// is lost before the fence of which it is one, or before that is answered, has left the others in it.
void Stepd::OnPmixFence(const Participants& who, std::string data, Exchange::Reply reply) {
  if (!who.worlds.empty()) return MeetOtherSteps(who, std::move(data), std::move(reply));
  auto ours = std::make_shared<std::set<std::uint32_t>>();
  for (const PmixPeer& peer : who.here) {
    if (peer.nspace == nspace_) ours->insert(peer.rank);
  }
  if (spec_.kill_on_bad_exit) {
    for (std::uint32_t rank : lost_) {
      if (ours->contains(rank)) OnLeftInFence(rank);
    }
    std::erase_if(in_fence_, [](auto& fence) { return fence.expired(); });
    in_fence_.push_back(ours);
  }
  OnFence(who.members, who.nodes, std::move(data),
          [ours, reply = std::move(reply)](Result<std::string> all) { reply(std::move(all)); });
}

void Stepd::OnLost(const PmixPeer& peer) {
  if (peer.nspace != nspace_ || !lost_.insert(peer.rank).second) return;
  for (auto& fence : in_fence_) {
    auto ranks = fence.lock();
    if (ranks && ranks->contains(peer.rank)) return OnLeftInFence(peer.rank);
  }
}

void Stepd::OnWireupTimeout() {
  const std::string& node = spec_.nodes[spec_.node_index];
  std::uint32_t limit_s = MpiTimeout_s(spec_);
  std::string hint = " (--mpi-timeout)";
  if (!launched_) {
    return FailStep(1, Cat("the step's other nodes did not answer ", node, " within ", limit_s, " s", hint,
                           "; missing: ", Join(exchange_.Missing(), ", ")));
  }
  auto never = outcome_.NotConnected();
  if (!never.empty()) {
    return FailStep(1, Cat("not all ranks called MPI_Init within ", limit_s, " s", hint, "; on ", node,
                           " missing: ", Named(never)));
  }
  auto absent = pmi_ ? pmi_->FenceWaitsFor() : std::vector<std::uint32_t>{};
  if (!absent.empty()) {
    return FailStep(1, Cat("the ranks did not find one another within ", limit_s, " s", hint, "; on ", node,
                           " not in the fence: ", Named(absent)));
  }
  wireup_timer_ = loop_.After(kOthersSpeakFirst, [this, node, limit_s, hint] {
    std::string missing = Join(exchange_.Missing(), ", ");
    FailStep(1, Cat("the ranks did not find one another within ", limit_s, " s", hint, "; ", node,
                    missing.empty() ? std::string(" has not entered the fence")
                                    : " waits for data of " + missing));
  });
}

}  // namespace slipway
