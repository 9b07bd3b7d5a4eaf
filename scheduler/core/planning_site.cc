// SPDX-License-Identifier: Apache-2.0
// The site's part of planning: which nodes a request may use, and what keeps a job from starting although
// everything is free. Sets of nodes are made once for each partition, constraint and kind of GPU.
#include <algorithm>

#include "scheduler/core/check_limits.h"
#include "scheduler/core/planning_policy.h"

namespace slipway::scheduler {

Tres PlanningPolicy::TotalsOf(const State& state) const {
  Tres totals{0, 0, 0, 0};
  for (const auto& [name, node] : state.nodes) {
    totals.cores += node.facts.cores;
    totals.memory_bytes += static_cast<std::int64_t>(node.facts.memory_bytes);
    totals.gpus += site_->TraitsOf(name).gpu_count();
    ++totals.nodes;
  }
  return totals;
}

PlanningPolicy::Obstacle PlanningPolicy::SiteObstacle(const State& state, const Job& job) const {
  const std::string& name = job.spec->resources.partition;
  const Partition* partition = site_->FindPartition(name);
  if (Result<> allowed = CheckPartition(*site_, *job.spec, job.time_limit_s); !allowed)
    return {partition == nullptr ? PendingReason::kPartitionConfig : PendingReason::kPartitionLimit,
            allowed.error().message};
  bool down = partition != nullptr &&
              (partition->state == PartitionState::kDown || partition->state == PartitionState::kInactive);
  if (down)
    return {PendingReason::kPartitionDown,
            Cat("PartitionDown: partition ", name, " starts no jobs at present")};
  if (Result<> allowed = CheckJobLimits(*site_, state, *job.spec, job.time_limit_s); !allowed)
    return {PendingReason::kLimit, allowed.error().message};
  if (Result<> allowed = CheckReservation(state, *site_, *job.spec, job.time_limit_s); !allowed)
    return {PendingReason::kReservation, allowed.error().message};
  return {};
}

// `also` null: nothing more. A GPU of any type is not asked of a node that has several types: which of them
// it took would not be known.
plan::NodeBits PlanningPolicy::NodesWith(const Resources& resources, const FeatureTest& every,
                                         const FeatureTest* also) const {
  const Partition* partition =
      resources.partition.empty() ? nullptr : site_->FindPartition(resources.partition);
  bool any_gpu = resources.gpu_type.empty() && resources.gpus_per_node + resources.gpus_per_task > 0;
  plan::NodeBits bits(names_.size());
  for (plan::NodeNumber number = 0; number < names_.size(); ++number) {
    const NodeTraits& traits = site_->TraitsOf(names_[number]);
    bool in = view_of_[number] == resources.reservation;
    in = in && (resources.partition.empty() || (partition != nullptr && partition->Has(names_[number])));
    in = in && every.Holds(traits.features) && (also == nullptr || also->Holds(traits.features));
    bits.Put(number, in && !(any_gpu && traits.gpus.size() > 1));
  }
  return bits;
}

PlanningPolicy::Where PlanningPolicy::WhereOf(const Resources& resources) {
  bool gpus = resources.gpus_per_node + resources.gpus_per_task > 0;
  std::string gpu = !gpus ? "" : resources.gpu_type.empty() ? "?" : resources.gpu_type;
  if (resources.partition.empty() && resources.constraint.empty() && !gpus && resources.reservation.empty())
    return {};
  auto [place, added] =
      wheres_.try_emplace({resources.partition, resources.constraint, gpu, resources.reservation});
  if (!added) return place->second;
  Where& where = place->second;
  plan::Cluster& cluster = planner_.cluster();
  Result<Constraint> constraint = ParseConstraint(resources.constraint);
  if (!constraint) {  // was checked at submission; of a later release's log
    where.set = cluster.AddSet(plan::NodeBits(names_.size()));
    return where;
  }
  where.set = cluster.AddSet(NodesWith(resources, constraint->every, nullptr));
  plan::Pattern pattern;
  for (const Constraint::Count& count : constraint->counts)
    pattern.counts.push_back(
        {cluster.AddSet(NodesWith(resources, constraint->every, &count.test)), count.nodes});
  for (const FeatureTest& test : constraint->one_of)
    pattern.one_of.push_back(cluster.AddSet(NodesWith(resources, constraint->every, &test)));
  if (!pattern.empty()) where.pattern = cluster.AddPattern(std::move(pattern));
  return where;
}

PlannedRequest PlanningPolicy::PlanRequest(const Resources& resources, bool uneven) {
  PlannedRequest planned = RequestOf(resources, dims_, uneven);
  Where where = WhereOf(resources);
  planned.request.where = where.set;
  planned.request.pattern = where.pattern;
  return planned;
}

}  // namespace slipway::scheduler
