// SPDX-License-Identifier: Apache-2.0
// A step must go on while the agent that ordered it is restarted, its files must be opened with the user's
// own rights, and somebody outside the container must know how it ended. That is stepd: one process per step
// and node, as the job's user, for as long as the step lasts and until its result is acknowledged.
//
// One thread (the loop's). Begin() once, then everything happens in callbacks until the loop is stopped by
// the agent's kAcknowledge.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/stepd/agent_link.h"
#include "agent/stepd/fence_watch.h"
#include "agent/stepd/folder_probe.h"
#include "agent/stepd/job_meeting.h"
#include "agent/stepd/local_fences.h"
#include "agent/stepd/outcome.h"
#include "agent/stepd/output_pump.h"
#include "agent/stepd/rank_terminal.h"
#include "agent/stepd/spare_processors.h"
#include "agent/stepd/spawner.h"
#include "agent/stepd/start_word.h"
#include "base/loop/loop.h"
#include "launcher/link/init_link.h"
#include "launcher/link/visitors.h"
#include "launcher/spec/step_spec.h"
#include "launcher/spec/task_order.h"
#include "pmix/exchange/exchange.h"
#include "pmix/exchange/names.h"
#include "pmix/pmi/pmi_server.h"
#include "pmix/pmi/rank_port.h"
#include "pmix/pmi/rank_sockets.h"
#include "pmix/server/pmix_server.h"

namespace slipway {

struct StepdFds {
  UniqueFd listener;  // bound by the broker
  UniqueFd control;   // to the container's init
  UniqueFd status;    // the result goes here too
};

class Stepd {
 public:
  Stepd(Loop& loop, StepSpec spec, StepdFds fds, uid_t agent_uid);
  ~Stepd();
  // An error only when the agent cannot even be told; everything else becomes the step's result.
  Result<> Begin();
  // As by the agent's kTerminate; for our own signals.
  void Terminate(const std::string& reason, std::chrono::seconds grace);

 private:
  // stepd.cc: until the ranks run
  void OnFoldersSeen(const std::string& silent);
  Result<> Prepare();
  Result<> OpenFiles();
  Result<> Launch();
  Result<> GiveImage(LaunchSpec& launch, std::vector<UniqueFd>& fds);
  Result<> GiveStreams(LaunchSpec& launch, std::vector<UniqueFd>& fds);
  Result<> GiveTerminal(LaunchSpec& launch, std::vector<UniqueFd>& fds);
  void TellBinding();
  void MarkLap(std::string name);
  void EnterPhase(StepPhase phase);
  const UniqueFd& FileOf(bool of_stderr) const;  // none: it is forwarded
  void Warn(std::string_view line);
  void ArmExchangeTick();

  // stepd_events.cc: while they run
  InitLink::Events InitEvents();
  AgentLink::Events AgentEvents();
  Door::Events DoorEvents(uid_t agent_uid);
  void OnDoor(Opening opening);
  ExchangeCallbacks ExchangeEvents();
  void OnAgentAttached();
  Result<> OnAgentFrame(StepFrame kind, std::string_view payload);
  void OnPeerGone(const StepPeerGone& gone);
  void OnReady(InitReady ready);
  void OnRankExited(std::uint32_t task, std::int32_t wait_status);
  std::string OutOfMemory() const;
  void OnRanksEnded();
  void OnInitGone(const std::string& why);
  // stepd_mpi.cc: how ranks find one another
  Result<> StartMpi();
  void AgreeWithOtherNodes(StartWord ours);
  void OnAgreed(const StartWord& agreed);
  Result<> RegisterMpi(const StartWord& agreed);
  Result<> GiveMpi(LaunchSpec& launch, std::vector<UniqueFd>& fds);
  Result<> GivePmi(Task& task, std::vector<UniqueFd>& fds);
  Result<std::unique_ptr<RankPort>> OpenPmiPort(PmiServer& server, RankSockets& sockets,
                                                std::vector<std::uint32_t> ranks_here);
  PmixCallbacks PmixEvents();
  PmixCallbacks PmixRequestEvents();
  PmiCallbacks PmiEvents();
  void OnConnected(std::uint32_t rank);
  void OnAborted(const std::string& world, std::uint32_t rank, std::int32_t status);
  void OnFence(std::string members, std::vector<std::uint32_t> nodes, std::string data,
               Exchange::Reply reply);
  FenceWatch::Host FenceHost();
  LocalFences::Host LocalFenceHost();
  Result<FenceState> StateOf(const FenceName& fence) const;
  void OnPmiFenceBegun(std::uint64_t fence);
  void OnWiredUp();
  void FailForEndInFence(std::uint32_t rank);
  void OnLeftInFence(std::uint32_t rank);
  void OnPmixFence(const Participants& who, std::string data, Exchange::Reply reply);
  void OnLost(const PmixPeer& peer);
  void ArmWireupTimer();
  void OnWireupTimeout();

  // stepd_spawn.cc: ranks that ranks ask for
  Spawner::Host SpawnHost();
  Result<> StartSpawned(const SpawnedWorld& world, std::uint32_t rank, std::uint32_t task);
  Result<> KnowSpawned(const SpawnedWorld& world);
  Result<> KnowSpawnedPmi(const SpawnedWorld& world);
  PmiCallbacks SpawnedPmiEvents(const std::string& world);
  Result<> GiveSpawnedPmi(const SpawnedWorld& world, std::uint32_t rank, TaskOrder& order,
                          std::vector<UniqueFd>& streams);
  void AskForRanks(SpawnRequest request, Exchange::Reply reply);
  Result<> GiveAddedStreams(TaskOrder& order, std::vector<UniqueFd>& streams);
  Result<> AddTask(RunTask run, const TaskOrder& order, std::vector<UniqueFd> streams);

  // stepd_meeting.cc: with the job's other steps
  JobMeeting::Host MeetingHost();
  Result<> StartLaunch(std::uint32_t task, const ImageLaunch& launch);
  void LearnWorlds(std::vector<JobWorld> worlds, Exchange::Reply done);
  Result<> KnowForeign(const std::vector<JobWorld>& worlds);
  void AskRendezvousForName(const NameRequest& request, Exchange::Reply reply);
  void MeetOtherSteps(const Participants& who, std::string data, Exchange::Reply reply);
  void AskForImageRanks(SpawnRequest request, Exchange::Reply reply);
  void JoinParent(StartWord ours);
  void TellParent();

  // stepd_services.cc: for the step's other nodes
  void Serve(std::uint32_t node, Service service, std::string_view data, Exchange::Reply reply);
  void AskForName(NameRequest request, Exchange::Reply reply);
  Exchange::Reply WithinLimit(const NameRequest& request, Exchange::Reply reply);
  void TellOfEnd(const PmixPeer& peer, ExitStatus status, bool without_finalize);
  void GoOnWithoutNode(const StepPeerGone& gone);
  void ForgetNamesOf(const std::string& world, std::uint32_t rank);
  void AskForNumber(bool of_job, std::function<void(std::uint64_t)> reply);
  void TellOthersEvent(const std::string& word);

  // stepd_requests.cc: what a rank asks besides data
  bool SayFor(const std::optional<PmixPeer>& peer, bool to_stderr, const std::string& text);
  void AskForSignal(const SignalRequest& request, Exchange::Reply reply);
  Result<std::string> SignalHere(std::string_view request);

  // stepd_end.cc: and to the end
  void FailStep(std::int32_t exit_code, const std::string& reason);
  void OnFirstFailure(bool take_down);
  void TakeDown(std::chrono::nanoseconds grace);
  // All that runs of the step stands still, or goes on; its limit as well. Again: nothing.
  void Suspend(bool suspended);
  void SignalBeforeLimit(const StepLimitSignal& order);
  void ArmLimit(std::chrono::nanoseconds left);
  void Kill();
  void MaybeFinish();
  void Finish();
  void SendResult();
  void WriteStatus(const StepResult& result);

  const std::vector<std::uint32_t>& LocalRanks() const { return spec_.ranks[spec_.node_index]; }
  bool several_nodes() const { return spec_.nodes.size() > 1; }
  bool mpi() const { return spec_.mpi != MpiKind::kNone; }

  Loop& loop_;
  const StepSpec spec_;
  const std::string run_dir_;  // where our socket is: the user's, removed when the step is forgotten
  UniqueFd status_file_;
  UniqueFd stdin_file_, stdout_file_, stderr_file_;
  Outcome outcome_;
  OutputPump output_;
  InputPump input_;
  RankTerminal terminal_;
  std::optional<TerminalSize> terminal_size_;  // rank 0 runs on one
  AgentLink agent_;
  InitLink init_;
  Visitors visitors_;
  Door door_;
  Exchange exchange_;
  NameDirectory names_;  // of the step; asked on its first node only
  std::uint64_t last_number_ = 0;
  std::set<std::pair<std::string, std::uint32_t>> asked_for_names_;  // ranks here, by world
  std::string nspace_;                                               // how PMIx and PMI call the step's world
  const std::string ranks_cgroup_;
  std::string private_dir_;  // libpmix's
  std::unique_ptr<PmixServer> pmix_;
  std::unique_ptr<PmiServer> pmi_;
  RankSockets pmi_sockets_;
  std::unique_ptr<RankPort> pmi_port_;  // instead of sockets that are open from the start
  struct SpawnedPmi {
    std::unique_ptr<PmiServer> server;
    std::unique_ptr<RankSockets> sockets;
    std::unique_ptr<RankPort> port;
  };
  std::map<std::string, SpawnedPmi> spawned_pmi_;  // by world
  SpareProcessors spare_;
  std::set<std::uint32_t> left_in_fence_, lost_;
  std::set<std::uint32_t> dead_nodes_;                            // whose ranks have been given up
  std::vector<std::weak_ptr<std::set<std::uint32_t>>> in_fence_;  // ranks here, of each fence that is open
  std::uint32_t devices_ = 0;                                     // of any node of the job
  std::uint32_t universe_size_ = 0;                               // ranks that the step has processors for
  Spawner spawner_;
  FenceWatch fence_watch_;
  FolderProbe folder_probe_;
  LocalFences local_fences_;
  JobMeeting meeting_;
  std::set<std::string> foreign_worlds_;           // of other steps, known here
  std::map<std::string, std::uint64_t> meetings_;  // how many of these members we have gone to

  StepPhase phase_ = StepPhase::kStarting;
  std::vector<Lap> laps_;
  MonotonicTime last_lap_;
  bool launched_ = false, ready_ = false, wired_up_ = false, taking_down_ = false, init_gone_ = false,
       ranks_ended_ = false;
  bool suspended_ = false;
  bool limit_signal_sent_ = false;
  MonotonicTime limit_at_;                  // when the step's time is over
  std::chrono::nanoseconds limit_left_{0};  // while it stands still
  std::optional<StepResult> result_;
  std::vector<std::string> warnings_waiting_;
  Loop::TimerId wireup_timer_, limit_timer_, kill_timer_, exchange_timer_;
};

}  // namespace slipway
