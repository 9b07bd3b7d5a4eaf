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
#include <string>
#include <vector>

#include "agent/stepd/agent_link.h"
#include "agent/stepd/outcome.h"
#include "agent/stepd/output_pump.h"
#include "base/loop/loop.h"
#include "launcher/link/init_link.h"
#include "launcher/link/visitors.h"
#include "launcher/spec/step_spec.h"
#include "pmix/exchange/exchange.h"
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
  Result<> Prepare();
  Result<> OpenFiles();
  Result<> StartPmix();
  void AgreeWithOtherNodes();
  void OnAgreed(const std::string& nspace);
  Result<> Launch();
  Result<> GiveImage(LaunchSpec& launch, std::vector<UniqueFd>& fds);
  Result<> GiveStreams(LaunchSpec& launch, std::vector<UniqueFd>& fds);
  Result<> GiveMpi(LaunchSpec& launch);
  void MarkLap(std::string name);
  void EnterPhase(StepPhase phase);
  void Warn(std::string_view line);
  void ArmExchangeTick();

  // stepd_events.cc: while they run
  InitLink::Events InitEvents();
  AgentLink::Events AgentEvents();
  Door::Events DoorEvents(uid_t agent_uid);
  void OnDoor(Opening opening);
  ExchangeCallbacks ExchangeEvents();
  PmixCallbacks PmixEvents();
  void OnAgentAttached();
  Result<> OnAgentFrame(StepFrame kind, std::string_view payload);
  void OnReady(InitReady ready);
  void OnRankExited(std::uint32_t task, std::int32_t wait_status);
  void OnInitGone(const std::string& why);
  void OnConnected(std::uint32_t rank);
  void OnFence(std::string members, std::vector<std::uint32_t> nodes, std::string data,
               Exchange::Reply reply);
  void OnWiredUp();
  void ArmWireupTimer();
  void OnWireupTimeout();

  // stepd_end.cc: and to the end
  void FailStep(std::int32_t exit_code, const std::string& reason);
  void OnFirstFailure(bool take_down);
  void TakeDown(std::chrono::nanoseconds grace);
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
  AgentLink agent_;
  InitLink init_;
  Visitors visitors_;
  Door door_;
  Exchange exchange_;
  const std::string ranks_cgroup_;
  std::string private_dir_;  // libpmix's
  std::unique_ptr<PmixServer> pmix_;

  StepPhase phase_ = StepPhase::kStarting;
  std::vector<Lap> laps_;
  MonotonicTime last_lap_;
  bool launched_ = false, ready_ = false, wired_up_ = false, taking_down_ = false, init_gone_ = false;
  std::optional<StepResult> result_;
  std::vector<std::string> warnings_waiting_;
  Loop::TimerId wireup_timer_, limit_timer_, kill_timer_, exchange_timer_;
};

}  // namespace slipway
