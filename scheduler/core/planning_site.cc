// SPDX-License-Identifier: Apache-2.0
// The site's part of planning: which nodes a request may use, and what keeps a job from starting although
// everything is free. Sets of nodes are made once for each partition, constraint and kind of GPU.
#include <algorithm>

#include "scheduler/core/check_limits.h"
#include "scheduler/core/node_choice.h"
#include "scheduler/core/planning_policy.h"

namespace slipway::scheduler {

std::size_t HashOfResources::operator()(const Resources& r) const {
  std::uint64_t hash = 0;
  auto mix = [&hash](std::uint64_t value) {
    hash = (hash ^ value) * 0x9fb21c651e98df25;
    hash ^= hash >> 32;
  };
  for (std::uint64_t value :
       {std::uint64_t{r.nodes_min}, std::uint64_t{r.nodes_max}, std::uint64_t{r.tasks},
        std::uint64_t{r.cores_per_task}, std::uint64_t{r.tasks_per_node}, r.memory_bytes_per_node,
        r.memory_bytes_per_core, std::uint64_t{r.exclusive}, std::uint64_t{r.gpus_per_node},
        std::uint64_t{r.gpus_per_task}, std::uint64_t{r.switches}})
    mix(value);
  for (const std::string* text : {&r.partition, &r.constraint, &r.gpu_type, &r.reservation})
    mix(std::hash<std::string>()(*text));
  for (const std::vector<Amount>* amounts : {&r.gres, &r.licences}) {
    for (const Amount& amount : *amounts) mix(std::hash<std::string>()(amount.name) + amount.count);
  }
  if (r.choice.there()) {
    mix(std::hash<std::string>()(r.choice->nodes));
    mix(std::hash<std::string>()(r.choice->excluded));
  }
  return hash;
}

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

std::vector<const Partition*> PlanningPolicy::OpenPartitions(const Job& job) const {
  std::vector<const Partition*> open = site_->PartitionsOf(job.spec->resources.partition);
  JobSpec alone = *job.spec;
  std::erase_if(open, [&](const Partition* partition) {
    alone.resources.partition = partition->name;
    bool starts = partition->state == PartitionState::kUp || partition->state == PartitionState::kDrain;
    return !starts || !CheckPartition(*site_, alone, job.time_limit_s);
  });
  return open;
}

PlanningPolicy::Obstacle PlanningPolicy::SiteObstacle(const State& state, const Job& job) const {
  const std::string& name = job.spec->resources.partition;
  if (Result<> allowed = CheckPartition(*site_, *job.spec, job.time_limit_s); !allowed)
    return {
        site_->PartitionsOf(name).empty() ? PendingReason::kPartitionConfig : PendingReason::kPartitionLimit,
        allowed.error().message};
  bool several = name.find(',') != std::string::npos;
  const Partition* partition = several ? nullptr : site_->FindPartition(name);
  bool down = partition != nullptr &&
              (partition->state == PartitionState::kDown || partition->state == PartitionState::kInactive);
  if (down || (several && OpenPartitions(job).empty()))
    return {PendingReason::kPartitionDown,
            Cat("PartitionDown: partition ", name, several ? " start no jobs" : " starts no jobs",
                " at present")};
  if (Result<> allowed = CheckJobLimits(*site_, state, *job.spec, job.time_limit_s); !allowed)
    return {PendingReason::kLimit, allowed.error().message};
  if (Result<> allowed = CheckReservation(state, *site_, *job.spec, job.time_limit_s); !allowed)
    return {PendingReason::kReservation, allowed.error().message};
  return {};
}

static std::optional<ChosenNodes> Chosen(const Resources& resources) {
  if (!resources.choice.there()) return ChosenNodes();
  Result<ChosenNodes> chosen = ExpandChoice(*resources.choice);
  return chosen ? std::optional(std::move(*chosen)) : std::nullopt;
}

// `also` null: nothing more. A GPU of any type is not asked of a node that has several types: which of them
// it took would not be known.
plan::NodeBits PlanningPolicy::NodesWith(const Resources& resources, const FeatureTest& every,
                                         const FeatureTest* also) const {
  const std::vector<const Partition*> partitions = site_->PartitionsOf(resources.partition);
  bool any_gpu = resources.gpu_type.empty() && resources.gpus_per_node + resources.gpus_per_task > 0;
  // They were checked at submission; what a later release's log has is met nowhere.
  const std::optional<ChosenNodes> chosen = Chosen(resources);
  const bool only_listed = chosen && !chosen->nodes.empty() && NodesMost(resources) == chosen->nodes.size();
  plan::NodeBits bits(names_.size());
  for (plan::NodeNumber number = 0; number < names_.size(); ++number) {
    const NodeTraits& traits = site_->TraitsOf(names_[number]);
    bool in = view_of_[number] == resources.reservation && chosen && !chosen->IsExcluded(names_[number]);
    in = in && (!only_listed || chosen->IsListed(names_[number]));
    in = in && (resources.partition.empty() || std::ranges::any_of(partitions, [&](const Partition* one) {
                  return one->Has(names_[number]);
                }));
    in = in && every.Holds(traits.features) && (also == nullptr || also->Holds(traits.features));
    bits.Put(number, in && !(any_gpu && traits.gpus.size() > 1));
  }
  return bits;
}

// Where nodes come in blocks, a job of several nodes gets as few whole blocks as could hold it, side by side.
plan::Nearness PlanningPolicy::NearnessOf(const Resources& resources) const {
  plan::Nearness near{resources.switches, 0, resources.contiguous};
  if (!resources.choice->nodes.empty()) return near;  // who names his nodes has them where they are
  if (site_->network.kind != NetworkKind::kBlock || resources.nodes_min < 2) return near;
  std::size_t block = 1;
  for (const Switch& one : site_->network.switches) block = std::max(block, one.nodes.size());
  auto blocks = static_cast<std::uint32_t>((resources.nodes_min + block - 1) / block);
  near.leaves_max = near.leaves_max == 0 ? blocks : std::min(near.leaves_max, blocks);
  while ((1U << near.below_height) < blocks) ++near.below_height;
  return near;
}

PlanningPolicy::Where PlanningPolicy::MakeWhereIn(const std::string& partition, const Resources& resources,
                                                  const Constraint& constraint, bool spreads) {
  Resources here = resources;
  here.partition = partition;
  plan::Cluster& cluster = planner_.cluster();
  Where where{cluster.AddSet(NodesWith(here, constraint.every, nullptr)), 0};
  plan::Pattern pattern;
  for (const Constraint::Count& count : constraint.counts)
    pattern.counts.push_back({cluster.AddSet(NodesWith(here, constraint.every, &count.test)), count.nodes});
  if (pattern.counts.empty()) pattern.near = NearnessOf(resources);
  if (!pattern.empty()) where.pattern = cluster.AddPattern(std::move(pattern));
  if (constraint.one_of.empty()) return WithListed(here, where, spreads);
  plan::Pattern any;
  for (const FeatureTest& test : constraint.one_of) {
    Where one =
        WithListed(here, {cluster.AddSet(NodesWith(here, constraint.every, &test)), where.pattern}, spreads);
    any.one_of.push_back({one.set, one.pattern});
  }
  where.pattern = cluster.AddPattern(std::move(any));
  return where;
}

// All of them are among the job's nodes: as a count of nodes that are alike, else as nodes that each get a
// task.
PlanningPolicy::Where PlanningPolicy::WithListed(const Resources& resources, Where where, bool spreads) {
  const std::optional<ChosenNodes> chosen = Chosen(resources);
  if (!chosen || chosen->nodes.empty()) return where;
  plan::Cluster& cluster = planner_.cluster();
  plan::NodeBits listed(names_.size());
  for (plan::NodeNumber number = 0; number < names_.size(); ++number)
    listed.Put(number, cluster.SetOf(where.set).Has(number) && chosen->IsListed(names_[number]));
  // One of them is not among those that it may use.
  if (listed.Count() != chosen->nodes.size()) return {cluster.AddSet(plan::NodeBits(names_.size())), 0};
  if (NodesMost(resources) == chosen->nodes.size()) return where;  // there are no others in the set
  plan::Pattern pattern;
  const std::uint32_t set = cluster.AddSet(std::move(listed));
  if (spreads) {
    pattern.all_of = set;
  } else {
    pattern.counts = {{set, static_cast<std::uint32_t>(chosen->nodes.size())}};
  }
  return {where.set, cluster.AddPattern(std::move(pattern))};
}

PlanningPolicy::Where PlanningPolicy::MakeWhere(const Resources& resources, const Constraint& constraint,
                                                bool spreads) {
  std::vector<const Partition*> partitions = site_->PartitionsOf(resources.partition);
  if (partitions.size() < 2) return MakeWhereIn(resources.partition, resources, constraint, spreads);
  plan::Pattern any;
  for (const Partition* partition : partitions) {
    Where here = MakeWhereIn(partition->name, resources, constraint, spreads);
    any.one_of.push_back({here.set, here.pattern});
  }
  plan::Cluster& cluster = planner_.cluster();
  return {cluster.AddSet(NodesWith(resources, constraint.every, nullptr)),
          cluster.AddPattern(std::move(any))};
}

PlanningPolicy::Where PlanningPolicy::WhereOf(const Resources& resources, bool spreads) {
  bool gpus = resources.gpus_per_node + resources.gpus_per_task > 0;
  std::string gpu = !gpus ? "" : resources.gpu_type.empty() ? "?" : resources.gpu_type;
  plan::Nearness near = NearnessOf(resources);
  if (resources.partition.empty() && resources.constraint.empty() && !gpus && resources.reservation.empty() &&
      !near.any() && !resources.choice.there())
    return {};
  const bool listed = !resources.choice->nodes.empty();
  auto [place, added] =
      wheres_.try_emplace({resources.partition, resources.constraint, gpu, resources.reservation, near,
                           *resources.choice, listed ? NodesMost(resources) : 0, listed && spreads});
  if (!added) return place->second;
  Result<Constraint> constraint = ParseConstraint(resources.constraint);
  // It was checked at submission; one of a later release's log is met nowhere.
  place->second = constraint ? MakeWhere(resources, *constraint, spreads)
                             : Where{planner_.cluster().AddSet(plan::NodeBits(names_.size())), 0};
  return place->second;
}

Time PlanningPolicy::SwitchesUntil(const Job& job) const {
  std::uint32_t wait_s = job.spec->switch_wait_s > 0 ? job.spec->switch_wait_s : site_->plan.switch_wait_s;
  return std::max(job.eligible, job.begin).PlusSeconds(wait_s);
}

bool PlanningPolicy::AsksOtherwiseNow(const Job& job) const {
  const Resources& asked = job.spec->resources;
  return asked.partition.find(',') != std::string::npos ||
         (asked.switches > 0 && SwitchesUntil(job).us <= planner_.cluster().now());
}

Resources PlanningPolicy::AskedNow(const Job& job) const {
  Resources asked = job.spec->resources;
  if (asked.switches > 0 && SwitchesUntil(job).us <= planner_.cluster().now()) asked.switches = 0;
  if (!job.partition.empty()) {
    asked.partition = job.partition;
  } else if (asked.partition.find(',') != std::string::npos) {
    asked.partition.clear();
    for (const Partition* open : OpenPartitions(job))
      asked.partition += Cat(asked.partition.empty() ? "" : ",", open->name);
    if (asked.partition.empty()) asked.partition = job.spec->resources.partition;
  }
  return asked;
}

PlannedRequest& PlanningPolicy::RequestFor(const Job& job) {
  return AsksOtherwiseNow(job) ? RequestFor(AskedNow(job)) : RequestFor(job.spec->resources);
}

void PlanningPolicy::GiveSwitchesUp(const State& state, Time now) {
  while (!switch_waits_.empty() && switch_waits_.begin()->first <= now) {
    JobId id = switch_waits_.begin()->second;
    switch_waits_.erase(switch_waits_.begin());
    const Job* job = state.FindJob(id);
    if (job == nullptr || job->state != JobState::kPending || !planner_.Knows(id.value)) continue;
    std::optional<plan::Planner::Promise> promise = planner_.PromiseOf(id.value);
    plan::Placement nodes = promise ? *promise->nodes : plan::Placement();
    SyncJob(state, id);
    if (promise) planner_.KeepPromise(id.value, promise->start, nodes);
  }
}

// In which of several partitions those nodes are: the first, as the planner looks for them in that order.
std::string PlanningPolicy::PartitionOf(const Job& job, const plan::Placement& nodes) const {
  if (job.spec->resources.partition.find(',') == std::string::npos) return "";
  for (const Partition* open : OpenPartitions(job)) {
    if (std::ranges::all_of(nodes,
                            [&](const plan::NodeShare& share) { return open->Has(names_[share.node]); }))
      return open->name;
  }
  return "";
}

PlannedRequest PlanningPolicy::PlanRequest(const Resources& resources, bool uneven) {
  PlannedRequest planned = RequestOf(resources, dims_, uneven);
  Where where = WhereOf(resources, planned.request.tasks > 0);
  planned.request.where = where.set;
  planned.request.pattern = where.pattern;
  return planned;
}

}  // namespace slipway::scheduler
