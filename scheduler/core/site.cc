// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/site.h"

#include <algorithm>

#include "scheduler/core/check_limits.h"
#include "scheduler/core/network_order.h"
#include "scheduler/plan/policy.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint32_t kTierMax = 1000;

template <class Range>
Result<> CheckNames(const Range& range, std::string_view what) {
  std::set<std::string> names;
  for (const auto& item : range) {
    if (item.name.empty()) return Fail(Code::kInvalidArgument, "a ", what, " has no name");
    if (!names.insert(item.name).second)
      return Fail(Code::kInvalidArgument, what, " ", item.name, " is there twice");
  }
  return {};
}

template <class Item>
const Item* Find(const std::vector<Item>& items, std::string_view name) {
  auto found = std::ranges::find(items, name, &Item::name);
  return found == items.end() ? nullptr : &*found;
}

}  // namespace

std::uint32_t NodeTraits::gpu_count() const {
  std::uint32_t count = 0;
  for (const Amount& kind : gpus) count += kind.count;
  return count;
}

const Partition* Site::FindPartition(std::string_view name) const { return Find(partitions, name); }
const Qos* Site::FindQos(std::string_view name) const { return Find(qos, name); }

std::vector<const Partition*> Site::PartitionsOf(std::string_view names) const {
  std::vector<const Partition*> found;
  for (std::size_t at = 0; at <= names.size() && !names.empty();) {
    std::size_t end = std::min(names.find(',', at), names.size());
    if (const Partition* one = FindPartition(names.substr(at, end - at))) found.push_back(one);
    at = end + 1;
  }
  return found;
}

const Partition* Site::DefaultPartition() const {
  if (partitions.size() == 1) return &partitions.front();
  auto found = std::ranges::find_if(partitions, &Partition::is_default);
  return found == partitions.end() ? nullptr : &*found;
}

const NodeTraits& Site::TraitsOf(std::string_view node) const {
  static const NodeTraits none;
  auto found = nodes.find(node);
  return found == nodes.end() ? none : found->second;
}

std::vector<std::string> Site::GresKinds() const {
  std::set<std::string> kinds;
  for (const auto& [name, traits] : nodes) {
    for (const Amount& gpu : traits.gpus) {
      if (!gpu.name.empty()) kinds.insert(Cat("gpu:", gpu.name));
    }
    for (const Amount& gres : traits.gres) kinds.insert(gres.name);
  }
  return {kinds.begin(), kinds.end()};
}

bool Site::HasFeature(std::string_view feature) const {
  return std::ranges::any_of(
      nodes, [&](const auto& entry) { return entry.second.features.contains(std::string(feature)); });
}

Result<> CheckSite(const Site& site) {
  TRY(CheckNames(site.partitions, "partition"));
  TRY(CheckNames(site.qos, "QOS"));
  TRY(CheckNames(site.licences, "licence"));
  if (std::ranges::count_if(site.partitions, &Partition::is_default) > 1)
    return Fail(Code::kInvalidArgument, "two partitions are the default");
  for (const Partition& partition : site.partitions) {
    auto wrong = [&](const auto&... why) {
      return Fail(Code::kInvalidArgument, "partition ", partition.name, ": ", why...);
    };
    if (partition.tier > kTierMax) return wrong("a tier is at most ", kTierMax);
    if (partition.max_nodes > 0 && partition.max_nodes < partition.min_nodes)
      return wrong("min_nodes is greater than max_nodes");
    if (partition.max_time_s > 0 && partition.default_time_s > partition.max_time_s)
      return wrong("default_time is longer than max_time");
    if (!partition.qos.empty() && site.FindQos(partition.qos) == nullptr)
      return wrong("there is no QOS ", partition.qos);
    for (const std::string& name : partition.allow_qos) {
      if (site.FindQos(name) == nullptr) return wrong("there is no QOS ", name);
    }
  }
  for (const Qos& qos : site.qos) {
    for (const std::string& name : qos.preempts) {
      if (site.FindQos(name) == nullptr)
        return Fail(Code::kInvalidArgument, "QOS ", qos.name, " preempts ", name, ", which there is not");
      if (name == qos.name) return Fail(Code::kInvalidArgument, "QOS ", qos.name, " preempts itself");
    }
  }
  TRY(CheckNetwork(site.network));
  std::size_t kinds = site.GresKinds().size();
  if (kinds > plan::kGpuTypes)
    return Fail(Code::kInvalidArgument, "nodes have ", kinds,
                " kinds of generic resources (types of GPUs count each); at most ", plan::kGpuTypes,
                " can be told apart");
  if (site.licences.size() > plan::kDims)
    return Fail(Code::kInvalidArgument, "more than ", plan::kDims, " kinds of licences");
  bool planning = site.plan.policy == "easy" || site.plan.policy == "multifactor";
  if (plan::MakePolicy(site.plan.policy) == nullptr) {
    std::string names;
    for (const std::string& name : plan::PolicyNames()) names += Cat(names.empty() ? "" : ", ", name);
    return Fail(Code::kInvalidArgument, "there is no policy \"", site.plan.policy, "\"; there are ", names);
  }
  if (!planning && site.plan.reservations != 1)
    return Fail(Code::kInvalidArgument, "policy ", site.plan.policy,
                " has no reservations of its own; multifactor and easy do");
  bool bounded = site.plan.reservations_per_user > 0 || site.plan.reservations_per_partition > 0;
  if (!planning && site.plan.policy != "conservative" && bounded)
    return Fail(Code::kInvalidArgument, "policy ", site.plan.policy,
                " plans one job at a time: reservations_per_user and reservations_per_partition are for "
                "multifactor, easy and conservative");
  return {};
}

namespace {

Result<> CheckOne(const Site& site, const Partition* partition, const JobSpec& spec,
                  std::uint32_t time_limit_s) {
  const Resources& asked = spec.resources;
  auto refuse = [&](std::string_view reason, const auto&... why) {
    return Fail(Code::kFailedPrecondition, reason, ": partition ", partition->name, " ", why...);
  };
  std::uint32_t least = std::max(asked.nodes_min, 1U);
  if (partition->max_nodes > 0 && least > partition->max_nodes)
    return refuse("PartitionNodeLimit", "allows ", partition->max_nodes, " node(s) to a job, not ", least);
  std::uint32_t most = asked.nodes_max > 0 ? asked.nodes_max : asked.nodes_min > 0 ? least : asked.tasks;
  if (most > 0 && most < partition->min_nodes)
    return refuse("PartitionNodeLimit", "is for jobs of at least ", partition->min_nodes, " nodes");
  if (partition->max_time_s > 0 && (time_limit_s == 0 || time_limit_s > partition->max_time_s))
    return refuse("PartitionTimeLimit", "allows ", partition->max_time_s, " s, not ",
                  time_limit_s == 0 ? "an unlimited time" : Cat(time_limit_s, " s"));
  std::uint64_t cores =
      std::uint64_t{asked.cores_per_task} * (asked.tasks == 0 ? std::max(asked.tasks_per_node, 1U) : 1);
  if (partition->max_cores_per_node > 0 && cores > partition->max_cores_per_node)
    return refuse("MaxCpuPerNode", "allows ", partition->max_cores_per_node, " cores of a node, not ", cores);
  auto deny = [&](const auto&... why) {
    return Fail(Code::kPermissionDenied, "partition ", partition->name, " ", why...);
  };
  if (!partition->allow_accounts.empty() && !partition->allow_accounts.contains(spec.account))
    return deny("is not open to account ", spec.account.empty() ? "(none)" : spec.account);
  if (!partition->allow_qos.empty() && !partition->allow_qos.contains(spec.qos))
    return deny("is not open to QOS ", spec.qos.empty() ? "(none)" : spec.qos);
  if (!partition->allow_groups.empty()) {
    auto in = [&](std::uint32_t gid) { return partition->allow_groups.contains(gid); };
    if (!in(spec.user.gid) && !std::ranges::any_of(spec.user.groups, in))
      return deny("is open to certain groups only, and ", spec.user.name, " is in none of them");
  }
  const Qos* qos = partition->qos == spec.qos ? nullptr : site.FindQos(partition->qos);
  return qos == nullptr ? Result<>() : CheckQos(*qos, spec, time_limit_s);
}

}  // namespace

Result<> CheckPartition(const Site& site, const JobSpec& spec, std::uint32_t time_limit_s) {
  const std::string& names = spec.resources.partition;
  if (names.empty()) return {};
  Result<> first = Fail(Code::kFailedPrecondition, "PartitionConfig: there is no partition ", names);
  std::vector<const Partition*> partitions = site.PartitionsOf(names);
  for (const Partition* partition : partitions) {
    Result<> allowed = CheckOne(site, partition, spec, time_limit_s);
    if (allowed) return {};
    if (partition == partitions.front()) first = std::move(allowed);
  }
  return first;
}

}  // namespace slipway::scheduler
