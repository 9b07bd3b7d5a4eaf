// SPDX-License-Identifier: Apache-2.0
// The policy that plans ahead, as its own files see it. Private to the core.
#pragma once

#include <map>
#include <set>

#include "scheduler/core/placement.h"
#include "scheduler/core/policy.h"
#include "scheduler/plan/planner.h"

namespace slipway::scheduler {

constexpr plan::Instant kSecond = 1'000'000;
constexpr plan::Instant kGrace = 60 * kSecond;  // from a time limit to the release of the nodes

inline bool MayRun(const Job& job) {
  return job.hold == Hold::kNone && job.DependenciesState() == DependencyState::kMet;
}

class PlanningPolicy final : public Policy {
 public:
  explicit PlanningPolicy(std::unique_ptr<plan::Policy> order)
      : order_(std::move(order)), planner_(MakePlanner()) {}
  std::string_view name() const override { return order_->name(); }

  void Reset(const State& state) override;
  void Observe(const State& state, const Event& event) override;
  Plan Decide(const State& state, Time now) override;
  PendingReason ReasonOf(const State& state, JobId job) override;
  std::optional<PlannedStart> PlannedStartOf(JobId job) const override;
  Result<> CheckFits(const State& state, const JobSpec& spec) override;
  Explanation Explain(const State& state, JobId job) override;
  std::uint64_t disturbances() const override { return disturbances_; }
  std::optional<std::string> FindWrong(const State& state) const override;

 private:
  struct Follow;
  plan::Planner MakePlanner() const;
  void AddReasons(const State& state, const Job& job, Explanation& to);
  void AddSuggestions(const Job& job, Explanation& to);
  void Rebuild(const State& state);
  void AddNode(const Node& node);
  void SyncNode(const State& state, const std::string& name);
  void SyncJob(const State& state, JobId id);
  void SyncWithDependents(const State& state, JobId id);
  void SyncSubmitted(const State& state, JobId id);
  void SyncAllNodes(const State& state);
  void BeginJobs(const State& state, Time now);
  PlannedRequest& RequestFor(const Resources& resources);
  static plan::Instant LengthOf(const Job& job);
  plan::PlanJob PlanJobOf(const State& state, const Job& job);
  std::uint32_t LimitOfArray(const State& state, JobId array);
  std::uint32_t ImageSet(const State& state, const std::string& digest);
  std::vector<NodeAllocation> AllotAll(const State& state, const Job& job, const plan::Placement& nodes,
                                       std::map<plan::NodeNumber, FreeNode>& touched);
  void Prefetch(const State& state, Plan& plan) const;

  std::shared_ptr<const plan::Policy> order_;
  plan::Planner planner_;
  bool stale_ = true;  // the nodes are others than the planner's
  std::map<std::string, plan::NodeNumber, NodeNameLess> numbers_;
  std::vector<std::string> names_;                   // by number
  std::map<Resources, PlannedRequest> requests_;     // asked for since the nodes changed
  std::map<JobId, std::uint32_t> array_limits_;      // numbers of the planner's
  std::map<std::string, std::uint32_t> image_sets_;  // by digest
  std::set<std::pair<Time, JobId>> not_yet_;         // begin later
  std::map<JobId, Time> begins_;                     // the same by job
  plan::Instant planned_whole_at_ = 0;
  bool disturbed_ = false;  // since the last Decide
  std::uint64_t disturbances_ = 0;
};

}  // namespace slipway::scheduler
