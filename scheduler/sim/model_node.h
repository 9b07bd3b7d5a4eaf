// SPDX-License-Identifier: Apache-2.0
// What agent, broker and stepd of one node do together, as the controller sees it: steps outlive the agent,
// end statuses are kept until they are acknowledged, a reboot forgets everything, and a launch that was
// refused or done once is never done again. The model is strict about what it promises and careless about
// everything else (time, order).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "base/loop/sim_loop.h"
#include "scheduler/core/messages.h"
#include "scheduler/sim/rng.h"

namespace slipway::scheduler {

class ModelNode;

// Where the node lives.
class NodeSurroundings {
 public:
  virtual ~NodeSurroundings() = default;
  virtual std::uint64_t OpenStream(ModelNode& node) = 0;  // 0: no controller answers
  virtual void ToController(ModelNode& node, std::uint64_t session, Input input) = 0;
  virtual void Beat(ModelNode& node, std::uint64_t session) = 0;  // answered by OnBeatHeard, or not
  virtual void OnStepStarts(ModelNode& node, const LaunchStep& launch) = 0;
  virtual void OnStepResumes(ModelNode& node, const StepId& step) = 0;
  virtual void OnStepSignalled(ModelNode& node, const SignalStep& signal) = 0;
  virtual bool calm() const = 0;  // no failures any more, short delays
};

class ModelNode {
 public:
  ModelNode(std::string name, NodeFacts facts, SimLoop& loop, Rng& rng, NodeSurroundings& world);

  const std::string& name() const { return name_; }
  std::uint64_t session() const { return session_; }
  bool powered() const { return powered_; }

  void OnMessage(std::uint64_t session, const NodeMessage& message);
  void OnBeatHeard(std::uint64_t session, MonotonicTime sent);
  void OnStreamBroken(std::uint64_t session);
  void KillAgent();  // steps run on
  void StartAgent();
  void PowerOff();
  void PowerOn();  // with a new boot id

  struct ModelStep {
    bool ended = false;
    CoreSet cores;
    CoreSet gpus;
    bool suspended = false;
    std::uint32_t lease_s = 0;  // of the broker's: an agent that is away changes nothing
    bool runs = false;          // its start was reported
    bool signalled = false;     // before its time limit
  };
  const std::map<StepId, ModelStep>& steps() const { return steps_; }
  std::size_t unacknowledged() const { return reports_.size(); }

 private:
  void Connect();
  void BeatLater();
  MonotonicTime LeaseEnd(std::uint32_t lease_s) const;
  void WatchLease(const StepId& step);
  void Launch(const LaunchStep& launch);
  void Kill(const StepId& step);
  void Work(const StepId& step, std::uint32_t ms_max);
  void End(const StepId& step, std::int32_t exit_code, EndReason reason);
  void Finish(const EndJob& end);
  void ReleaseIfClear(const EndJob& end);
  void Report(const StepId& step, ReportKind kind, std::int32_t exit_code, EndReason reason);
  void SendReports(const StepId* only = nullptr);
  // Runs `task` later, unless the node has been rebooted by then.
  void Later(std::uint32_t ms_max, Loop::Task task);
  Time Clock() const;

  const std::string name_;
  const NodeFacts facts_;
  SimLoop& loop_;
  Rng& rng_;
  NodeSurroundings& world_;

  bool powered_ = true, agent_up_ = true, registered_ = false;
  std::uint64_t session_ = 0, boot_ = 1, connect_tries_ = 0;

  MonotonicTime register_sent_{};
  // Until the reboot.
  MonotonicTime heard_{};  // when what the controller last answered had been sent
  std::map<StepId, ModelStep> steps_;
  std::set<std::pair<JobId, std::uint32_t>> ended_jobs_;
  std::map<std::uint64_t, StepReport> reports_;
  std::uint64_t next_seq_ = 1;
  bool resend_waits_ = false;
};

}  // namespace slipway::scheduler
