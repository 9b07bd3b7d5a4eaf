// SPDX-License-Identifier: Apache-2.0
// Nodes, partitions and accounts as users see them.
#include <algorithm>
#include <map>

#include "scheduler/server/convert.h"
#include "slipway/v1/account.pb.h"
#include "slipway/v1/node.pb.h"

namespace slipway::scheduler {
namespace {

void AddAmount(const Amount& in, v1::Amount* out) {
  out->set_name(in.name);
  out->set_count(in.count);
}

std::string StateName(PartitionState state) {
  switch (state) {
    case PartitionState::kUp:
      return "UP";
    case PartitionState::kDrain:
      return "DRAIN";
    case PartitionState::kDown:
      return "DOWN";
    case PartitionState::kInactive:
      return "INACTIVE";
  }
  return "?";
}

void TresToProto(const Tres& in, v1::Tres* out) {
  if (in.cores >= 0) out->set_cpu(in.cores);
  if (in.memory_bytes >= 0) out->set_memory_bytes(in.memory_bytes);
  if (in.nodes >= 0) out->set_node(in.nodes);
  if (in.gpus >= 0) out->set_gpu(in.gpus);
}

void LimitsToProto(const Limits& in, v1::Limits* out) {
  TresToProto(in.grp, out->mutable_grp_tres());
  TresToProto(in.max_per_user, out->mutable_max_tres_per_user());
  TresToProto(in.max_per_job, out->mutable_max_tres_per_job());
  TresToProto(in.min_per_job, out->mutable_min_tres_per_job());
  if (in.grp_jobs >= 0) out->set_grp_jobs(in.grp_jobs);
  if (in.grp_submit >= 0) out->set_grp_submit_jobs(in.grp_submit);
  if (in.grp_billing_minutes >= 0) out->set_grp_billing_minutes(in.grp_billing_minutes);
  if (in.max_jobs_per_user >= 0) out->set_max_jobs_per_user(in.max_jobs_per_user);
  if (in.max_submit_per_user >= 0) out->set_max_submit_jobs_per_user(in.max_submit_per_user);
  if (in.max_wall_s >= 0) out->set_max_wall_s(in.max_wall_s);
}

void ShareToProto(const FairShare& in, v1::FairShare* out) {
  out->set_share_ppm(in.share_ppm);
  out->set_usage_ppm(in.usage_ppm);
  out->set_level_ppm(in.usage_ppm == 0 ? 0 : in.level_ppm);
  out->set_usage(in.usage / 1000);
  out->set_rank(in.rank);
  out->set_of(in.of);
}

}  // namespace

void ToProto(const Node& node, const State& state, const Site& site, Time now, v1::Node* out) {
  out->set_name(node.name);
  bool maintained = false;
  for (const auto& [name, reservation] : state.reservations) {
    auto window = WindowAt(reservation, now);
    if (!window || now < window->from ||
        !std::ranges::binary_search(reservation.nodes, node.name, NodeNameLess{}))
      continue;
    out->add_reservations(name);
    maintained = maintained || reservation.maintenance;
  }
  std::string up = node.drained                   ? node.jobs.empty() ? "DRAINED" : "DRAINING"
                   : maintained                   ? "MAINT"
                   : out->reservations_size() > 0 ? "RESERVED"
                                                  : "UP";
  out->set_state(node.state == NodeState::kUp ? up : std::string(NodeStateName(node.state)));
  // A node that was DOWN and has rebooted is well.
  if (node.drained || node.state == NodeState::kDown) out->set_reason(node.reason);
  out->set_cores(node.facts.cores);
  out->set_cores_free(node.cores_free.count());
  out->set_memory_bytes(node.facts.memory_bytes);
  out->set_memory_bytes_free(node.memory_free_bytes);
  out->set_address(node.address);
  for (JobId job : node.jobs) out->add_jobs(job.value);
  for (const std::string& digest : node.images) out->add_images(digest);
  out->set_boot_id(node.boot_id);
  out->set_version(node.facts.agent_version);
  out->set_sockets(node.facts.sockets);
  out->set_arch(node.facts.architecture);
  const NodeTraits& traits = site.TraitsOf(node.name);
  for (const Partition& partition : site.partitions) {
    if (partition.Has(node.name)) out->add_partitions(partition.name);
  }
  for (const std::string& feature : traits.features) out->add_features(feature);
  out->set_weight(traits.weight);
  for (const Amount& gpu : traits.gpus) AddAmount(gpu, out->add_gpus());
  for (const Amount& gres : traits.gres) AddAmount(gres, out->add_gres());
  out->set_gpus_free(traits.gpu_count() - std::min(traits.gpu_count(), node.gpus_allotted.count()));
}

void ToProto(const Partition& partition, const State& state, v1::Partition* out) {
  out->set_name(partition.name);
  out->set_is_default(partition.is_default);
  out->set_state(StateName(partition.state));
  std::uint32_t nodes_free = 0, cores = 0, cores_free = 0;
  for (const auto& [name, node] : state.nodes) {
    if (!partition.Has(name)) continue;
    out->add_nodes(name);
    cores += node.facts.cores;
    if (!node.usable()) continue;
    cores_free += node.cores_free.count();
    nodes_free += node.jobs.empty() ? 1 : 0;
  }
  out->set_nodes_free(nodes_free);
  out->set_cores(cores);
  out->set_cores_free(cores_free);
  out->set_max_time_s(partition.max_time_s);
  out->set_default_time_s(partition.default_time_s);
  out->set_min_nodes(partition.min_nodes);
  out->set_max_nodes(partition.max_nodes);
  out->set_tier(partition.tier);
  out->set_exclusive(partition.exclusive);
  for (const std::string& account : partition.allow_accounts) out->add_allow_accounts(account);
  for (const std::string& qos : partition.allow_qos) out->add_allow_qos(qos);
  for (std::uint32_t gid : partition.allow_groups) out->add_allow_groups(gid);
}

void ToProto(const State& state, const FairTree& fair, v1::ListAccountsReply* reply) {
  for (const auto& [name, account] : state.accounts) {
    v1::Account* out = reply->add_accounts();
    out->set_name(name);
    out->set_parent(account.parent);
    out->set_shares(account.shares);
    out->set_description(account.description);
    LimitsToProto(account.limits, out->mutable_limits());
    if (auto share = fair.accounts.find(name); share != fair.accounts.end())
      ShareToProto(share->second, out->mutable_fair_share());
    for (auto at = state.associations.lower_bound({name, 0});
         at != state.associations.end() && at->first.account == name; ++at) {
      v1::AccountUser* user = out->add_users();
      user->set_user(at->second.user);
      user->set_uid(at->first.uid);
      user->set_shares(at->second.shares);
      user->set_is_default(at->second.is_default);
      user->set_implied(at->second.implied);
      LimitsToProto(at->second.limits, user->mutable_limits());
      if (auto share = fair.users.find(at->first); share != fair.users.end())
        ShareToProto(share->second, user->mutable_fair_share());
    }
  }
}

}  // namespace slipway::scheduler
