// SPDX-License-Identifier: Apache-2.0
// One simulated life: a controller, its store, nodes, the network between them, clients, and what must hold
// at every step. Private to chaos.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "scheduler/sim/chaos.h"
#include "scheduler/sim/chaos_faults.h"
#include "scheduler/sim/chaos_site.h"
#include "scheduler/sim/model_node.h"
#include "scheduler/sim/sim_controller.h"

namespace slipway::scheduler {

inline constexpr std::uint32_t kChaosUid = 20001;  // the first of its users

class World final : public NodeSurroundings, public ControllerSurroundings {
 public:
  explicit World(const ChaosOptions& options);

  ChaosResult Run();

  // NodeSurroundings
  std::uint64_t OpenStream(ModelNode& node) override;
  void ToController(ModelNode& node, std::uint64_t session, Input input) override;
  void Beat(ModelNode& node, std::uint64_t session) override;
  void OnStepStarts(ModelNode& node, const LaunchStep& launch) override;
  void OnStepResumes(ModelNode& node, const StepId& step) override;
  void OnStepSignalled(ModelNode& node, const SignalStep& signal) override;
  bool HasLent(const StepId& step) const;
  bool calm() const override { return calm_; }
  // ControllerSurroundings
  void ToNode(const Send& send) override;
  void ToClient(const Reply& reply) override;
  void OnCommitted(const Event& event) override;
  void OnControllerDead(const std::string& why) override;

 private:
  void Trace(const std::string& line);
  void Broken(const std::string& promise);
  void CheckState();
  void CheckStarts();
  void CheckReplay();
  void CheckPromises();
  void CheckSignals();
  void CheckDrained();

  void StartController();
  void Feed(const Input& input);
  void BreakStream(ModelNode& node);
  void CheckPresence();
  void Lose(const std::string& node);
  void SetUp();
  void Every(std::uint32_t mean_s, std::function<void()> fault);
  void ScheduleFaults();
  void ScheduleClients();
  void Submit();
  void Meddle();
  void MeddleWithArray(JobId id, std::uint32_t owner);
  void DeclareDownForGood(ModelNode& node);
  void BecomeCalm();
  void ReleaseAndGiveUp();
  void CommitSome();
  void Deliver(Loop::Task task);
  ModelNode& AnyNode() { return *nodes_[rng_.Below(nodes_.size())]; }
  JobSpec RandomJob();
  NodeChoice RandomChoice();
  void SubmitRandom();  // now and then a heterogeneous one
  std::vector<std::string> NodeNames() const;
  bool Drained() const;

  const ChaosOptions& options_;
  Rng rng_;
  Faults faults_;
  SimLoop loop_;
  FaultStore store_{[this](std::function<void()> task) { loop_.Post(std::move(task)); }};
  std::vector<std::unique_ptr<ModelNode>> nodes_;
  std::shared_ptr<const Site> site_;
  bool quick_ = false;  // passes look only at what changed, as they do where the queue is long
  std::unique_ptr<SimController> controller_;
  std::vector<std::unique_ptr<SimController>> graveyard_;
  bool calm_ = false, commit_waits_ = false;

  struct Stream {
    std::string node;
    bool open = true;
  };
  std::map<std::uint64_t, Stream> streams_;  // of the present controller
  std::uint64_t last_stream_ = 0;
  std::set<std::string> deaf_, mute_;  // one-way partitions: hears nothing, says nothing

  // What slipwayd knows of a node's silence, by a clock that nobody sets.
  struct Presence {
    std::uint64_t session = 0;  // the newest that registered
    MonotonicTime heard{};
    bool lost = false;
  };
  std::map<std::string, Presence> presence_;  // of the present controller
  MonotonicTime controller_began_{};

  struct Promised {
    Time at;
    std::uint64_t disturbances = 0;  // at that time
    std::uint32_t attempt = 0;  // the last one then: a job that ran since, and waits again, had its start
    std::int64_t priority = 0;  // what it was given, which may be changed, and its place with it
  };
  MonotonicTime clock_settles_{};
  std::map<JobId, Promised> promised_;  // by the present controller
  std::set<JobId> accepted_;
  std::map<JobId, Outcome> ended_;
  std::set<std::pair<StepId, std::string>> started_;
  std::set<std::pair<JobId, std::uint32_t>> seen_started_;  // attempts whose place was looked at
  ChaosResult result_;
};

}  // namespace slipway::scheduler
