// SPDX-License-Identifier: Apache-2.0
// The policy that plans ahead, as its own files see it. Private to the core.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>

#include "scheduler/core/constraint.h"
#include "scheduler/core/placement.h"
#include "scheduler/core/policy.h"
#include "scheduler/core/priority_order.h"
#include "scheduler/core/running_limits.h"
#include "scheduler/plan/planner.h"

namespace slipway::scheduler {

constexpr plan::Instant kSecond = 1'000'000;

struct HashOfResources {
  std::size_t operator()(const Resources& resources) const;
};

inline bool MayRun(const Job& job) {
  return job.hold == Hold::kNone && job.DependenciesState() == DependencyState::kMet;
}

class PlanningPolicy final : public Policy {
 public:
  PlanningPolicy(std::unique_ptr<plan::Policy> order, std::shared_ptr<const Site> site,
                 std::shared_ptr<const Localities> localities)
      : site_(std::move(site)),
        localities_(std::move(localities)),
        dims_(Dimensions::Of(*site_)),
        order_(std::move(order)),
        planner_(MakePlanner()),
        priorities_(site_),
        limits_(site_) {}
  std::string_view name() const override { return order_->name(); }

  void Reset(const State& state) override;
  void MakeAnew() override { stale_ = true; }
  void Observe(const State& state, const Event& event) override;
  Plan Decide(const State& state, Time now) override;
  PendingReason ReasonOf(const State& state, JobId job) override;
  std::string ReasonText(const State& state, JobId job) override;
  std::optional<PlannedStart> PlannedStartOf(JobId job) const override;
  std::vector<std::pair<JobId, PlannedStart>> PlannedStarts() const override;
  Result<> CheckFits(const State& state, const JobSpec& spec) override;
  std::optional<PlannedStart> WhenWould(const State& state, const JobSpec& spec) override;
  Result<> CheckFitTogether(const State& state, const std::vector<JobSpec>& components) override;
  FairTree Shares(const State& state) const override { return ComputeFairTree(state); }
  Explanation Explain(const State& state, JobId job, Time now) override;
  std::uint64_t disturbances() const override { return disturbances_; }
  std::optional<std::string> FindWrong(const State& state) const override;

 private:
  struct Follow;
  plan::Planner MakePlanner() const;
  void AddReasons(const State& state, const Job& job, Explanation& to);
  class EarlierSearch;
  std::vector<EarlierStart> EarlierStarts(const State& state, const Job& job);
  void AddListedNodes(const State& state, const Job& job, const plan::Request& request, Explanation& to);
  void AddReservedNodes(const State& state, const Job& job, Explanation& to);
  void AddAhead(const State& state, const Job& job, Time now, Explanation& to);
  plan::Instant grace() const { return site_->plan.grace_s * kSecond; }
  // Why the site keeps it from starting, whatever is free or runs. kNone: it does not.
  struct Obstacle {
    PendingReason reason = PendingReason::kNone;
    std::string text;
  };
  Obstacle SiteObstacle(const State& state, const Job& job) const;
  bool MayBePlanned(const State& state, const Job& job) const {
    return MayRun(job) && SiteObstacle(state, job).reason == PendingReason::kNone;
  }
  // Of a heterogeneous job: that all components may.
  bool WholeMayBePlanned(const State& state, const Job& job) const;
  void SyncWhole(const State& state, const std::vector<JobId>& components);
  // Puts a job into the queue.
  void Enqueue(const State& state, const Job& job);
  bool CanPreempt(const JobSpec& spec) const;
  const Partition* LowestOf(const JobSpec& spec) const;
  PreemptMode PreemptModeOf(const JobSpec& by, const JobSpec& victim) const;
  std::vector<plan::JobNumber> CandidatesFor(const State& state, const Job& job, Time now) const;
  PreemptMode ModeFor(const Job& by, const Job& victim, bool may_end_later) const;
  static void AddComponents(const State& state, std::vector<plan::Victim>& victims);
  std::uint32_t GraceOf(const JobSpec& by, const JobSpec& victim) const;
  // What is free on nodes while one Decide allots.
  using Touched = std::map<plan::NodeNumber, FreeNode>;
  FreeNode& FreeAt(const State& state, plan::NodeNumber number, Touched& touched) const;
  // Whether somebody has to go: then it is started or planned in their place.
  using Starts = std::vector<plan::PlanStart>;
  std::optional<Starts> PreemptFor(const State& state, const Job& job, Time now, Plan& plan,
                                   Touched& touched);
  std::vector<JobId> FirstPreemptors() const;
  void YieldPromises(const State& state);
  // For the first for whom somebody has to go; another pass plans what is left.
  std::optional<Starts> Preempt(const State& state, Time now, Plan& plan, Touched& touched);
  PlannedRequest PlanRequest(const Resources& resources, bool uneven = false);
  struct Where {
    std::uint32_t set = 0, pattern = 0;
  };
  // `spreads`: the request is one of tasks over nodes, not of equal nodes.
  Where WhereOf(const Resources& resources, bool spreads);
  Where MakeWhere(const Resources& resources, const Constraint& constraint, bool spreads);
  Where MakeWhereIn(const std::string& partition, const Resources& resources, const Constraint& constraint,
                    bool spreads);
  // With the wish for the listed nodes, of which there are some.
  Where WithListed(const Resources& resources, Where where, bool spreads);
  plan::NodeBits NodesWith(const Resources& resources, const FeatureTest& every,
                           const FeatureTest* also) const;
  plan::Nearness NearnessOf(const Resources& resources) const;
  // Of the job's partitions those that could start it as it is now.
  std::vector<const Partition*> OpenPartitions(const Job& job) const;
  // As the job is planned now: of several partitions the open ones, and without a wish about switches that
  // it has waited for long enough.
  bool AsksOtherwiseNow(const Job& job) const;
  Resources AskedNow(const Job& job) const;
  PlannedRequest& RequestFor(const Job& job);
  Time SwitchesUntil(const Job& job) const;
  void GiveSwitchesUp(const State& state, Time now);
  std::string PartitionOf(const Job& job, const plan::Placement& nodes) const;
  Tres TotalsOf(const State& state) const;
  void Rebuild(const State& state);
  // The planner has the nodes and the reservations of the state.
  void Refresh(const State& state);
  using Promises = std::vector<std::pair<JobId, PlannedStart>>;
  void KeepPromises(const State& state, const Promises& promises);
  PlannedStart ToPlannedStart(const plan::Planner::Promise& promise) const;
  // Nodes that have not been heard since the restart: what was promised there is not given up yet.
  void Await(const Node& node);
  void AwaitNoMore();
  bool PromisedOnSilentNodes() const;
  void AddNode(const Node& node);
  // Brings the reservations, of which some (changed_reservations_) are others, to where the state has them.
  // The plan is the one that Rebuild makes, as if all jobs had been added anew.
  void RemakeReservations(const State& state);
  void ForgetReservations(const State& state, const std::vector<JobId>& theirs);
  void SyncRunning(const State& state);
  void AddViews(const State& state, const Reservation& reservation);
  void ReserveAll(const State& state);
  void Reserve(const Reservation& reservation, plan::NodeNumber number);
  void Take(plan::NodeNumber view, plan::Instant from, plan::Instant to);
  // A node as the planner has it for such a job: of a reservation's jobs another view of it. nullopt: the
  // node is not known, or not in the reservation.
  std::optional<plan::NodeNumber> NumberFor(const Resources& resources, const std::string& node) const;
  plan::NodeNumber MachineOf(plan::NodeNumber number) const {
    return view_of_[number].empty() ? number : numbers_.at(names_[number]);
  }
  bool WaitsForWindow(const State& state, const Job& job) const;
  void SyncNode(const State& state, const std::string& name);
  void SyncJob(const State& state, JobId id);
  void SyncDependents(const State& state, JobId on);
  void SyncWithDependents(const State& state, JobId id);
  void SyncSubmitted(const State& state, JobId id);
  void SyncMade(const State& state, JobId array);
  void SyncAllNodes(const State& state);
  void BeginJobs(const State& state, Time now);
  PlannedRequest& RequestFor(const Resources& resources);
  PlannedRequest MakeRequest(const Resources& resources);  // as RequestFor has it, which keeps it
  static plan::Instant LengthOf(const Job& job);
  // When a job that holds nodes is expected to have cleared them.
  plan::Instant EndOf(const Job& job) const;
  void SyncSuspended(const State& state, JobId id);
  plan::PlanJob PlanJobOf(const State& state, const Job& job);
  void AccountsChanged();
  std::uint32_t ImageSet(const State& state, const std::string& digest);
  std::vector<NodeAllocation> AllotAll(const State& state, const Job& job, const plan::Placement& nodes,
                                       Touched& touched);
  void Prefetch(const State& state, Plan& plan) const;

  std::shared_ptr<const Site> site_;
  std::shared_ptr<const Localities> localities_;
  Dimensions dims_;
  std::shared_ptr<const plan::Policy> order_;
  plan::Planner planner_;
  PriorityOrder priorities_;
  RunningLimits limits_;
  std::optional<Time> awaits_until_;
  bool takes_over_ = false;  // the state's promises, at the next Rebuild
  bool stale_ = true;        // the nodes are others than the planner's
  std::map<std::string, plan::NodeNumber, NodeNameLess> numbers_;
  std::vector<std::string> names_;    // by number
  std::vector<std::string> view_of_;  // by number: the reservation whose jobs see it; empty: others
  std::map<std::pair<std::string, std::string>, plan::NodeNumber> views_;  // by reservation and node
  Time windows_change_{Time::kNeverUs};  // a window is over: reservations are made anew
  std::set<std::string> changed_reservations_;
  bool reservations_stale_ = false;
  struct Taken {
    plan::NodeNumber view = 0;
    plan::Instant from = 0, to = 0;
  };
  std::vector<Taken> taken_;       // by reservations, of whole nodes
  std::size_t removed_views_ = 0;  // they leave holes in the numbers
  // Asked for since the nodes changed; looked up only.
  std::unordered_map<Resources, PlannedRequest, HashOfResources> requests_;
  // By partitions, constraint, kind of GPU ("" none, "?" any), reservation, nearness, nodes by name, and with
  // listed ones: how many there may be, `spreads`.
  std::map<std::tuple<std::string, std::string, std::string, std::string, plan::Nearness, NodeChoice,
                      std::uint32_t, bool>,
           Where>
      wheres_;
  std::set<std::pair<Time, JobId>> switch_waits_;    // when a wish about switches is given up
  std::map<std::string, std::uint32_t> image_sets_;  // by digest
  std::map<JobId, std::uint32_t> made_;              // of arrays: tasks before this one are known
  std::set<JobId> preemptors_;                       // waiting jobs that may preempt
  std::set<std::pair<Time, JobId>> not_yet_;         // begin later
  std::map<JobId, Time> begins_;                     // the same by job
  plan::Instant planned_whole_at_ = 0;
  bool disturbed_ = false;  // since the last whole pass
  std::uint64_t disturbances_ = 0;
};

}  // namespace slipway::scheduler
