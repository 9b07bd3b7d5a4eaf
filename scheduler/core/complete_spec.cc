// SPDX-License-Identifier: Apache-2.0
// A job is kept complete, as the site was when it was submitted: what a user leaves out is put in here, and
// what the site does not have is refused here, with what there is.
#include <algorithm>

#include "scheduler/core/account.h"
#include "scheduler/core/constraint.h"
#include "scheduler/core/node_choice.h"
#include "scheduler/core/placement.h"
#include "scheduler/plan/pattern.h"

namespace slipway::scheduler {
namespace {

constexpr char kDefaultQos[] = "normal";

template <class... Why>
Failure Refuse(const Why&... why) {
  return Fail(Code::kInvalidArgument, why...);
}

template <class Items>
std::string NamesOf(const Items& items) {
  std::string names;
  for (const auto& item : items) names += Cat(names.empty() ? "" : ", ", item.name);
  return names.empty() ? "none" : names;
}

std::vector<std::string> NamesIn(std::string_view list) {
  std::vector<std::string> names;
  for (std::size_t at = 0; at <= list.size();) {
    std::size_t end = std::min(list.find(',', at), list.size());
    names.emplace_back(list.substr(at, end - at));
    at = end + 1;
  }
  return names;
}

// A job that leaves its number of nodes open gets no more of them, and of each, than the partition allows.
void BoundNodes(const Partition& partition, Resources& asked) {
  bool open = asked.nodes_min == 0 && asked.nodes_max == 0 && asked.tasks > 0;
  if (open && partition.min_nodes > 1) {
    asked.nodes_min = partition.min_nodes;
    asked.nodes_max =
        partition.max_nodes > 0 ? partition.max_nodes : std::max(asked.tasks, partition.min_nodes);
  } else if (partition.max_nodes > 0 && (open || asked.nodes_max > partition.max_nodes)) {
    asked.nodes_max = std::max(partition.max_nodes, asked.nodes_min);
  }
  if (partition.max_cores_per_node == 0 || asked.tasks == 0 || asked.exclusive) return;
  std::uint32_t most = std::max(partition.max_cores_per_node / std::max(asked.cores_per_task, 1U), 1U);
  asked.tasks_per_node = asked.tasks_per_node == 0 ? most : std::min(asked.tasks_per_node, most);
}

// What the partition adds to the request, and what it puts in where the user left it open.
void TakeFromPartition(const Site& site, const Partition& partition, JobSpec& spec) {
  spec.resources.exclusive = spec.resources.exclusive || partition.exclusive;
  BoundNodes(partition, spec.resources);
  if (spec.time_limit_s > 0) return;
  spec.time_limit_s = partition.default_time_s > 0 ? partition.default_time_s : site.default_time_limit_s;
  bool over =
      partition.max_time_s > 0 && (spec.time_limit_s == 0 || spec.time_limit_s > partition.max_time_s);
  if (over) spec.time_limit_s = partition.max_time_s;
}

Result<> CheckOpen(const Partition& partition) {
  if (partition.state == PartitionState::kDrain || partition.state == PartitionState::kInactive)
    return Fail(Code::kFailedPrecondition, "PartitionInactive: partition ", partition.name,
                " takes no jobs at present");
  return {};
}

// Of several those stay that would have the job by itself; what they add and bound adds up.
Result<> ChooseAmong(const Site& site, const std::vector<std::string>& names, JobSpec& spec) {
  std::vector<const Partition*> kept;
  Result<> refused;
  for (const std::string& name : names) {
    const Partition* partition = site.FindPartition(name);
    if (partition == nullptr)
      return Refuse("there is no partition ", name, "; there are ", NamesOf(site.partitions));
    if (std::ranges::find(kept, partition) != kept.end()) continue;
    Result<> allowed = CheckOpen(*partition);
    JobSpec alone = spec;
    alone.resources.partition = partition->name;
    TakeFromPartition(site, *partition, alone);
    if (allowed) allowed = CheckPartition(site, alone, alone.time_limit_s);
    if (allowed) {
      kept.push_back(partition);
    } else if (refused) {
      refused = std::move(allowed);
    }
  }
  if (kept.empty()) return refused;
  spec.resources.partition.clear();
  for (const Partition* partition : kept) {
    TakeFromPartition(site, *partition, spec);
    spec.resources.partition += Cat(spec.resources.partition.empty() ? "" : ",", partition->name);
  }
  return {};
}

Result<> CompletePartition(const Site& site, JobSpec& spec) {
  std::string& name = spec.resources.partition;
  if (site.partitions.empty()) {
    if (!name.empty()) return Refuse("partition ", name, ": this cluster has no partitions");
    return {};
  }
  if (name.find(',') != std::string::npos) return ChooseAmong(site, NamesIn(name), spec);
  const Partition* partition = name.empty() ? site.DefaultPartition() : site.FindPartition(name);
  if (partition == nullptr && name.empty())
    return Refuse("there is no default partition: choose one with --partition (there are ",
                  NamesOf(site.partitions), ")");
  if (partition == nullptr)
    return Refuse("there is no partition ", name, "; there are ", NamesOf(site.partitions));
  name = partition->name;
  TRY(CheckOpen(*partition));
  TakeFromPartition(site, *partition, spec);
  return {};
}

Result<> CompleteAccount(const Site& site, const State& state, JobSpec& spec) {
  const std::uint32_t uid = spec.user.uid;
  auto known = [&](const std::string& account) {
    const Association* part = state.FindAssociation({account, uid});
    return part != nullptr && !(site.usage.enforce && part->implied);
  };
  auto refuse = [&](const auto&... why) { return Fail(Code::kPermissionDenied, "InvalidAccount: ", why...); };
  if (!spec.account.empty()) {
    if (known(spec.account) || (spec.account == kDefaultAccount && !site.usage.enforce)) return {};
    if (!state.accounts.contains(spec.account)) return refuse("there is no account ", spec.account);
    return refuse(spec.user.name, " is not in account ", spec.account, "; an administrator adds users with ",
                  "`slipway account add-user`");
  }
  auto mine = state.accounts_of.find(uid);
  if (mine != state.accounts_of.end()) {
    for (const std::string& account : mine->second) {
      if (!known(account)) continue;
      if (spec.account.empty() || state.associations.at({account, uid}).is_default) spec.account = account;
    }
  }
  if (!spec.account.empty()) return {};
  if (site.usage.enforce)
    return refuse(spec.user.name, " is in no account; an administrator adds users with ",
                  "`slipway account add-user`");
  spec.account = kDefaultAccount;
  return {};
}

Result<> CompleteQos(const Site& site, JobSpec& spec) {
  if (spec.qos.empty() && site.FindQos(kDefaultQos) != nullptr) spec.qos = kDefaultQos;
  if (!spec.qos.empty() && site.FindQos(spec.qos) == nullptr)
    return Refuse("InvalidQOS: there is no QOS ", spec.qos, "; there are: ", NamesOf(site.qos));
  return {};
}

Result<> CheckKinds(const Site& site, const Resources& asked) {
  Dimensions dims = Dimensions::Of(site);
  auto there_are = [](const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += Cat(text.empty() ? "" : ", ", name);
    return text.empty() ? std::string("none") : text;
  };
  if (!asked.gpu_type.empty() && !dims.OfGres(Cat("gpu:", asked.gpu_type)))
    return Refuse("no node has GPUs of type ", asked.gpu_type, "; kinds: ", there_are(dims.gres));
  for (const Amount& gres : asked.gres) {
    if (!dims.OfGres(gres.name))
      return Refuse("no node has the generic resource ", gres.name, "; kinds: ", there_are(dims.gres));
  }
  for (const Amount& licence : asked.licences) {
    if (!dims.OfLicence(licence.name))
      return Refuse("the cluster has no licence ", licence.name, "; there are: ", there_are(dims.licences));
  }
  return {};
}

Result<> CheckFeatures(const Site& site, Resources& asked) {
  Constraint constraint = TRY(ParseConstraint(asked.constraint));
  for (const std::string& feature : constraint.features) {
    if (!site.HasFeature(feature)) return Refuse("BadConstraints: no node has the feature ", feature);
  }
  if (constraint.counts.empty()) return {};
  if (!asked.choice->nodes.empty()) return Refuse("counts in the constraint do not go with --nodelist");
  if (asked.switches > 0 || asked.contiguous)
    return Refuse("counts in the constraint do not go with --switches and --contiguous");
  if (constraint.counts.size() > plan::kCountsMax)
    return Refuse("constraint: at most ", plan::kCountsMax, " counts");
  std::uint64_t sum = 0;
  for (const Constraint::Count& count : constraint.counts) sum += count.nodes;
  if (asked.nodes_min == 0 && asked.nodes_max == 0)
    asked.nodes_min = static_cast<std::uint32_t>(std::min<std::uint64_t>(sum, UINT32_MAX));
  if (sum > asked.nodes_min)
    return Refuse("the constraint counts ", sum, " nodes, the job asks for ", asked.nodes_min);
  if (asked.tasks > 0 && asked.tasks % asked.nodes_min != 0)
    return Refuse("with counts in the constraint every node gets as many tasks: ", asked.tasks,
                  " do not divide over ", asked.nodes_min, " nodes");
  if (asked.tasks > 0 && asked.layout == Layout::kPack)
    return Refuse("with counts in the constraint every node gets as many tasks: leave out -m pack");
  if (asked.tasks > 0 && asked.nodes_max > asked.nodes_min)
    return Refuse("with counts in the constraint and --ntasks the number of nodes must be given exactly");
  return {};
}

}  // namespace

Result<> CompleteSpec(const Site& site, const State& state, JobSpec& spec) {
  std::ranges::sort(spec.resources.gres);
  std::ranges::sort(spec.resources.licences);
  TRY(CompleteAccount(site, state, spec));
  TRY(CompleteQos(site, spec));
  TRY(CompleteChoice(state, spec.resources));
  TRY(CompletePartition(site, spec));  // who may be in it is a matter of account and QOS too
  if (spec.time_limit_s == 0) spec.time_limit_s = site.default_time_limit_s;
  if (spec.signal.number != 0 && spec.time_limit_s == 0)
    return Refuse("--signal: the job has no time limit before which it could be sent; give one with --time");
  if (spec.time_limit_s > 0 && spec.time_min_s > spec.time_limit_s)
    return Refuse("the least time, ", spec.time_min_s, " s, is more than the limit, ", spec.time_limit_s,
                  " s");
  TRY(CheckKinds(site, spec.resources));
  TRY(CheckFeatures(site, spec.resources));
  TRY(CheckReservation(state, site, spec, spec.time_limit_s));
  return CheckPartition(site, spec, spec.time_limit_s);
}

}  // namespace slipway::scheduler
