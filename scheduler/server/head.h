// SPDX-License-Identifier: Apache-2.0
// The owner thread of slipwayd: it feeds the pure core with what users, nodes and clocks say, and does what
// the core asks for, in its order. All state lives here, without locks; gRPC's threads decode, post, and are
// called back.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/crypto/crypto.h"
#include "base/loop/loop.h"
#include "scheduler/core/controller.h"
#include "scheduler/server/discovered_gpus.h"
#include "scheduler/server/fencer.h"
#include "scheduler/server/ports.h"
#include "scheduler/server/relay.h"
#include "scheduler/server/worker.h"
#include "scheduler/store/executor.h"
#include "scheduler/store/store.h"

namespace slipway::v1 {
class FromNode;
class Node;
class NodeCondition;
}  // namespace slipway::v1

namespace slipway::scheduler {

struct HeadOptions {
  std::string cluster_id, cluster_name;
  std::uint32_t processes_per_core_max = 0;  // 0: no limit
  std::vector<std::string> job_cgroup;       // CgroupShare::site
  std::uint32_t drain_after_users = 3;       // scheduler/core/node_failures.h
  Duration node_lost_after = std::chrono::seconds(30);
  Duration heartbeat = std::chrono::seconds(5);
  std::uint64_t snapshot_every = 20'000;  // records
  Duration reattach_within = std::chrono::seconds(5);
  std::shared_ptr<const Site> site;  // as configured; null: an empty one
  std::string gpus_file;             // where the GPUs that nodes said they have are kept; empty: nowhere
  FenceRules fence;
  std::function<std::string(const std::string& digest)> libc_of;  // an image's C library; null: not known
};

// Loop's thread only.
class Head final : public EffectSink {
 public:
  // Replays the store and takes over: the next epoch is durable before anything is sent. `failed` is called
  // when the store fails later: the process has to end (a restart replays).
  static Result<std::unique_ptr<Head>> Start(Loop& loop, std::unique_ptr<Store> store, SigningKey key,
                                             HeadOptions options, std::function<void(const Error&)> failed);
  ~Head() override;

  // ---- Users. The answer comes when it is durable.
  using AnswerCallback = std::function<void(Result<Answer>)>;
  // `others`: of a heterogeneous job the components behind the first.
  void Submit(JobSpec spec, std::vector<JobSpec> others, std::uint32_t lease_s, AnswerCallback done);
  // Controller::WhenWould, now.
  Result<std::optional<PlannedStart>> WhenWould(JobSpec spec);
  void Create(CreateStep request, AnswerCallback done);
  void Cancel(JobId job, Requester by, AnswerCallback done);
  void Change(JobId job, Requester by, JobUpdate update, AnswerCallback done);
  void Suspend(JobId job, Requester by, bool suspended, AnswerCallback done);
  // An account or a user's part in one. `change` is made from the state as it is when this is called.
  void ChangeAccounts(Requester by, AccountChange change, AnswerCallback done);
  void ChangeNodes(const std::string& node, NodeChange change, const std::string& reason,
                   AnswerCallback done);
  void ChangeReservations(Requester by, ReservationChange change, AnswerCallback done);
  void CancelOneStep(JobId job, std::uint32_t step, Requester by, AnswerCallback done);
  // To the ranks of all running steps, or of one; not durable, answered when it is on its way.
  Result<> SignalSteps(JobId job, const std::uint32_t* step, std::int32_t signal, Requester by);

  // Reads: run once all that the state shows is durable.
  void AfterCommit(std::function<void()> task) { executor_->AfterCommit(std::move(task)); }
  const State& state() const { return controller_->state(); }
  std::string PendingText(const Job& job) const;
  std::optional<PlannedStart> PlannedStartOf(JobId job) const { return controller_->PlannedStartOf(job); }
  Explanation Explain(JobId job) const { return controller_->Explain(job, Now()); }
  FairTree Shares() const { return controller_->Shares(); }
  const Site& site() const { return controller_->site(); }
  const v1::Node* PresentFactsOf(
      const std::string& node) const;  // null: it has not been here since our start
  // What the fence program is about to do to it, in words; empty: nothing.
  std::string FenceTextOf(const Node& node) const;
  Time Now() const;
  Result<> CheckOwner(JobId job, Requester by) const;  // of a job or an array
  // Does a job that has not ended use this image?
  bool UsesImage(const std::string& digest) const;
  bool HasLiveJobOn(const std::string& node, std::uint32_t uid) const;

  // `changed` runs after each committed change of the job or array.
  std::uint64_t Watch(JobId job, std::function<void()> changed);
  void Unwatch(std::uint64_t watch);

  Relays& relays() { return *relays_; }

  // ---- Nodes. `port` is borrowed until NodeGone, which is called before it dies.
  // The session's number, or why it is refused. `node` is the certificate's name.
  Result<std::uint64_t> NodeJoins(const std::string& node, NodePort* port, const v1::FromNode& first);
  void NodeSays(std::uint64_t session, const v1::FromNode& message);
  void NodeGone(std::uint64_t session);
  void CloseAllNodes();

  // ---- EffectSink
  void OnSend(const Send& send) override;
  void OnReply(const Reply& reply) override;
  void OnTimer(Time at) override;
  void OnCommitted(const std::vector<Event>& events) override;
  void OnStoreFailed(const Error& error) override;
  void OnNoSnapshot(const Error& error) override;

 private:
  // That waits for its acknowledgement.
  struct Reported {
    StepId step;
    std::uint64_t sequence = 0;  // the agent's own
    bool started = false;        // no more than that
  };
  struct Session {
    std::string node;
    NodePort* port = nullptr;
    std::uint64_t next_seq = 1;
    std::map<std::uint64_t, Reported> reports;  // by our number
  };
  struct Presence {
    std::uint64_t session = 0;  // the newest
    MonotonicTime heard;
    bool lost = false;
    std::shared_ptr<const v1::Node> facts;  // of the newest registration
  };
  struct Watching {
    JobId job;
    std::function<void()> changed;
  };
  struct RequestKey {
    std::uint32_t uid;
    std::uint64_t job;  // 0: a submission; else a step of that job
    std::string id;
    auto operator<=>(const RequestKey&) const = default;
  };

  Head(Loop& loop, SigningKey key, HeadOptions options)
      : loop_(loop), key_(std::move(key)), options_(std::move(options)) {}
  void Feed(const scheduler::Input& input);
  ClientToken Await(AnswerCallback done);
  void AskOnce(RequestKey key, AnswerCallback done, std::function<void(AnswerCallback)> ask);
  void CheckPresence();
  void TellOfSilence();
  HeardNode HeardOf(const Node& node) const;
  std::unique_ptr<Fencer> MakeFencer();
  std::shared_ptr<const Site> SiteWithGpus() const;
  void LearnGpus(const std::string& node, std::vector<DiscoveredGpu> gpus);
  void SendToNode(Session& session, const NodeMessage& message);
  bool SendNow(const std::string& node, const v1::ToNode& message);
  void GrantRunning(const std::string& node, std::uint64_t session);
  void NodeReports(Session& session, std::uint64_t number, const v1::FromNode& message);
  void NodeFinds(const Session& session, std::uint64_t number, const v1::NodeCondition& condition);
  void AnswerHeartbeat(Session& session, std::uint64_t sequence);
  void ExpectClients();
  void WakeJob(JobId job);
  void WakeTasks(JobId array);
  void MaybeSnapshot();

  Loop& loop_;
  SigningKey key_;
  HeadOptions options_;
  DiscoveredGpus gpus_;
  std::shared_ptr<Localities> localities_ = std::make_shared<Localities>();  // of nodes that registered
  std::function<void(const Error&)> failed_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Controller> controller_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Relays> relays_;
  Loop::TimerId tick_, presence_;
  MonotonicTime started_{};
  Revision snapshot_revision_ = 0;

  std::uint64_t next_client_ = 1;
  std::map<std::uint64_t, AnswerCallback> waiting_;
  std::map<RequestKey, std::vector<AnswerCallback>> asking_;
  std::map<RequestKey, Answer> answered_;  // of jobs that the state still has

  std::uint64_t next_session_ = 1;
  std::map<std::uint64_t, Session> sessions_;
  std::map<std::string, Presence> presence_of_;

  std::uint64_t next_watch_ = 1;
  std::map<std::uint64_t, Watching> watches_;
  std::multimap<JobId, std::uint64_t> watches_by_job_;

  std::unique_ptr<Fencer> fencer_;  // null: the site has none
  Worker snapshots_;                // last: what it runs reads store_
};

}  // namespace slipway::scheduler
