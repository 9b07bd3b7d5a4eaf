// SPDX-License-Identifier: Apache-2.0
#include "scheduler/sim/chaos_site.h"

#include <algorithm>
#include <map>

#include "scheduler/core/node_choice.h"

namespace slipway::scheduler {
namespace {

constexpr const char* kFeatures[] = {"a", "b", "c"};

bool AnyLimit(const Limits& limits) { return limits != Limits{}; }

Limits RandomLimits(Rng& rng) {
  Limits limits;
  if (rng.Chance(500)) limits.grp.cores = rng.Between(2, 8);
  if (rng.Chance(300)) limits.grp_jobs = rng.Between(1, 4);
  if (rng.Chance(400)) limits.max_jobs_per_user = rng.Between(1, 3);
  if (rng.Chance(200)) limits.max_per_user.cores = rng.Between(2, 6);
  if (rng.Chance(200)) limits.max_submit_per_user = rng.Between(3, 8);
  if (rng.Chance(200)) limits.grp.gpus = rng.Between(1, 3);
  return limits;
}

NetworkRules RandomNetwork(Rng& rng, const std::vector<std::string>& nodes) {
  NetworkRules network;
  if (nodes.size() < 2) return network;
  constexpr NetworkKind kKinds[] = {NetworkKind::kTree, NetworkKind::kDragonfly, NetworkKind::kBlock};
  network.kind = kKinds[rng.Below(std::size(kKinds))];
  network.switches = {{"l1", {}, {}}, {"l2", {}, {}}};
  for (std::size_t i = 0; i < nodes.size(); ++i) network.switches[i % 2].nodes.push_back(nodes[i]);
  if (network.kind != NetworkKind::kBlock && rng.Chance(500))
    network.switches.push_back({"s", {}, {"l1", "l2"}});
  if (network.kind == NetworkKind::kTree && rng.Chance(300)) {
    network = {NetworkKind::kTorus, {}, {static_cast<std::uint32_t>(nodes.size()), 1, 1}, nodes};
  }
  return network;
}

PreemptMode RandomMode(Rng& rng) {
  constexpr PreemptMode kModes[] = {PreemptMode::kCancel, PreemptMode::kRequeue, PreemptMode::kSuspend};
  return kModes[rng.Below(std::size(kModes))];
}

}  // namespace

Site RandomSite(Rng& rng, const std::vector<std::string>& nodes) {
  Site site;
  if (rng.Chance(250)) return site;
  for (const std::string& node : nodes) {
    NodeTraits& traits = site.nodes[node];
    for (const char* feature : kFeatures) {
      if (rng.Chance(500)) traits.features.insert(feature);
    }
    traits.weight = rng.Between(1, 3);
    if (rng.Chance(500)) traits.gpus.push_back({"x", rng.Between(1, 3)});
    if (rng.Chance(200)) traits.gpus.push_back({"y", rng.Between(1, 2)});
    if (rng.Chance(300)) traits.gres.push_back({"nic", rng.Between(1, 2)});
  }
  if (rng.Chance(600)) {
    site.partitions.push_back({.name = "all", .all_nodes = true, .is_default = true});
    Partition some{.name = "some", .max_time_s = rng.Chance(500) ? 60U : 0U, .tier = rng.Between(1, 3)};
    for (const std::string& node : nodes) {
      if (rng.Chance(600)) some.nodes.insert(node);
    }
    some.exclusive = rng.Chance(200);
    some.max_nodes = rng.Between(0, 2);
    site.partitions.push_back(std::move(some));
    if (rng.Chance(500)) site.partitions.front().preempt = RandomMode(rng);
    site.partitions.front().preempt_grace_s = rng.Chance(300) ? rng.Between(1, 20) : 0;
  }
  if (rng.Chance(400)) site.licences = {{"l", rng.Between(1, 4)}};
  if (rng.Chance(500)) {
    site.qos = {{.name = "normal"}, {.name = "q", .priority = 5, .limits = RandomLimits(rng)}};
    site.weights.qos = rng.Between(0, 3);
    if (rng.Chance(500)) {
      site.qos[0].preempt = RandomMode(rng);
      site.qos[0].preempt_grace_s = rng.Chance(300) ? rng.Between(1, 20) : 0;
      site.qos[1].preempts = {"normal"};
    }
  }
  if (rng.Chance(500)) {
    site.weights.age = rng.Between(0, 5);
    site.weights.age_max_s = rng.Between(10, 200);
    site.weights.fair_share = rng.Between(0, 5);
    site.weights.size = rng.Between(0, 2);
  }
  if (rng.Chance(400)) site.network = RandomNetwork(rng, nodes);
  site.plan.switch_wait_s = rng.Between(1, 60);
  if (!site.qos.empty() && !site.partitions.empty() && rng.Chance(300)) site.partitions.back().qos = "q";
  site.usage.recalculate_s = rng.Between(5, 60);
  site.usage.half_life_s = rng.Between(0, 300);
  if (rng.Chance(500)) site.plan.grace_s = rng.Between(1, 30);
  site.plan.reservations = rng.Chance(500) ? 1 : rng.Between(1, 10);
  if (site.plan.reservations > 1 && rng.Chance(500)) {
    if (rng.Chance(700)) site.plan.reservations_per_user = rng.Between(1, 3);
    if (rng.Chance(500)) site.plan.reservations_per_partition = rng.Between(1, 3);
  }
  return site;
}

void AskOfSite(Rng& rng, const Site& site, JobSpec& spec) {
  spec.user.uid += static_cast<std::uint32_t>(rng.Below(3));
  spec.user.name = Cat("user", spec.user.uid);
  Resources& asked = spec.resources;
  if (!site.partitions.empty() && rng.Chance(500))
    asked.partition = rng.Chance(600) ? "some" : rng.Chance(500) ? "some,all" : "all,some";
  if (!site.nodes.empty() && rng.Chance(250)) {
    constexpr const char* kConstraints[] = {"a", "a|b", "!c", "a&!b", "[a|b]", "a*1&b*1", "(a|b)&c", "a*1"};
    asked.constraint = kConstraints[rng.Below(std::size(kConstraints))];
  }
  if (!site.nodes.empty() && rng.Chance(250)) {
    (rng.Chance(500) ? asked.gpus_per_node : asked.gpus_per_task) = rng.Between(1, 2);
    if (rng.Chance(400)) asked.gpu_type = rng.Chance(700) ? "x" : "y";
  }
  if (!site.nodes.empty() && rng.Chance(100)) asked.gres = {{"nic", 1}};
  if (!site.licences.empty() && rng.Chance(300)) asked.licences = {{"l", rng.Between(1, 2)}};
  if (!site.qos.empty() && rng.Chance(500)) spec.qos = "q";
  if (rng.Chance(150)) asked.switches = rng.Between(1, 2);
  if (rng.Chance(100)) asked.contiguous = true;
  if (rng.Chance(150)) asked.layout = rng.Chance(500) ? Layout::kSpread : Layout::kPack;
}

Account RandomAccount(Rng& rng) {
  Account account{rng.Chance(500) ? kDefaultAccount : "other", kRootAccount, rng.Between(0, 4), "", {}};
  if (rng.Chance(400)) account.limits = RandomLimits(rng);
  return account;
}

ReservationRequest RandomReservation(Rng& rng, Time now, const std::vector<std::string>& nodes) {
  ReservationRequest request;
  Reservation& wanted = request.wanted;
  wanted.name = rng.Chance(700) ? "r" : "m";
  wanted.maintenance = wanted.name == "m";
  wanted.start = now.PlusSeconds(rng.Between(0, 60));
  wanted.duration_s = rng.Between(60, 200);
  if (rng.Chance(200)) wanted.period_s = kDayS;
  if (!wanted.maintenance) wanted.users = {{20001, "alice"}, {20002, "user20002"}};
  wanted.flex = !wanted.maintenance && rng.Chance(300);
  for (const std::string& node : nodes) {
    if (rng.Chance(500)) wanted.nodes.push_back(node);
  }
  if (wanted.nodes.empty()) request.node_count = 1;
  request.create = rng.Chance(700);
  request.ignore_jobs = rng.Chance(600);
  return request;
}

// A job for which others were made to go is planned whatever the bounds say: then they say nothing here.
std::optional<std::string> FindOverBound(const Site& site, const State& state, const Policy& policy) {
  auto preempted = [](const auto& part) { return part.preempt != PreemptMode::kOff; };
  if (std::ranges::any_of(site.qos, preempted) || std::ranges::any_of(site.partitions, preempted))
    return std::nullopt;
  std::map<std::uint32_t, std::uint32_t> users;
  std::map<std::string, std::uint32_t> partitions;
  for (const PendingKey& key : state.pending) {
    const Job& job = *state.FindJob(key.job);
    // A heterogeneous job counts once, with its first component.
    if (!policy.PlannedStartOf(key.job) || state.FollowsLeader(key.job)) continue;
    ++users[job.spec->user.uid];
    for (const Partition* partition : site.PartitionsOf(job.PartitionName())) ++partitions[partition->name];
  }
  auto over = [](const auto& counts, std::uint32_t most) {
    return most > 0 && std::ranges::any_of(counts, [&](const auto& entry) { return entry.second > most; });
  };
  if (over(users, site.plan.reservations_per_user))
    return "a user's jobs are promised more starts than he may";
  if (over(partitions, site.plan.reservations_per_partition))
    return "a partition's jobs are promised more starts than it may";
  return std::nullopt;
}

bool IsLimited(const Site& site, const State& state, const Job& job) {
  const Qos* qos = site.FindQos(job.spec->qos);
  if (qos != nullptr && AnyLimit(qos->limits)) return true;
  for (const Partition* partition : site.PartitionsOf(job.spec->resources.partition)) {
    qos = site.FindQos(partition->qos);
    if (qos != nullptr && AnyLimit(qos->limits)) return true;
  }
  if (job.spec->array && job.spec->array->max_running > 0) return true;
  return std::ranges::any_of(state.accounts, [](const auto& entry) { return AnyLimit(entry.second.limits); });
}

std::optional<std::string> FindIntruder(const Site& site, const State& state, const Job& job) {
  std::int64_t grace = std::int64_t{site.plan.grace_s};
  Time end = job.time_limit_s == 0 ? Time{Time::kNeverUs} : job.started.PlusSeconds(job.time_limit_s + grace);
  for (const auto& [name, reservation] : state.reservations) {
    std::optional<Window> window = WindowAt(reservation, job.started);
    bool own = job.spec->resources.reservation == name;
    if (!window || (own && reservation.flex)) continue;
    bool inside = window->from <= job.started && end <= window->to;
    bool outside = end <= window->from;
    if (own ? inside : outside) continue;
    for (const NodeAllocation& held : job.nodes) {
      if (own || std::ranges::find(reservation.nodes, held.node) != reservation.nodes.end())
        return Cat("job ", job.id.value, " was started on ", held.node, own ? " outside of" : " into",
                   " the window of reservation ", name);
    }
  }
  return std::nullopt;
}

namespace {

// Whether the job holds a node that it was not to have, or lacks one that it was to.
std::optional<std::string> FindWrongChoice(const Job& job) {
  const ChosenNodes chosen = ExpandChoice(*job.spec->resources.choice).value_or(ChosenNodes());
  for (const NodeAllocation& held : job.nodes) {
    if (chosen.IsExcluded(held.node))
      return Cat("job ", job.id.value, " holds ", held.node, ", which it excludes");
  }
  for (const std::string& name : chosen.nodes) {
    const NodeAllocation* held = job.FindNode(name);
    if (held == nullptr || held->tasks == 0)
      return Cat("job ", job.id.value, " has nothing on ", name, ", which it lists");
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> FindExceeded(const Site& site, const State& state) {
  std::map<std::string, std::int64_t> licences, qos_jobs;
  std::map<std::pair<std::string, std::uint32_t>, std::int64_t> user_jobs;
  for (JobId id : state.active) {
    const Job& job = state.jobs.at(id);
    const JobSpec& spec = *job.spec;
    if (job.nodes.empty()) return Cat("job ", id.value, " runs nowhere");
    if (auto wrong = FindWrongChoice(job)) return wrong;
    for (const Partition* partition : site.PartitionsOf(job.PartitionName())) {
      for (const NodeAllocation& held : job.nodes) {
        if (!partition->Has(held.node))
          return Cat("job ", id.value, " is in ", job.PartitionName(), " and holds ", held.node);
      }
      if (!partition->qos.empty() && partition->qos != spec.qos) {
        ++qos_jobs[partition->qos];
        ++user_jobs[{partition->qos, spec.user.uid}];
      }
    }
    for (const Amount& licence : spec.resources.licences) licences[licence.name] += licence.count;
    ++qos_jobs[spec.qos];
    ++user_jobs[{spec.qos, spec.user.uid}];
  }
  for (const Amount& licence : site.licences) {
    if (licences[licence.name] > licence.count)
      return Cat(licences[licence.name], " licences ", licence.name, " are in use, the site has ",
                 licence.count);
  }
  for (const Qos& qos : site.qos) {
    if (qos.limits.grp_jobs >= 0 && qos_jobs[qos.name] > qos.limits.grp_jobs)
      return Cat(qos_jobs[qos.name], " jobs run in QOS ", qos.name, ", which allows ", qos.limits.grp_jobs);
    for (const auto& [key, jobs] : user_jobs) {
      if (key.first == qos.name && qos.limits.max_jobs_per_user >= 0 && jobs > qos.limits.max_jobs_per_user)
        return Cat(jobs, " jobs of uid ", key.second, " run in QOS ", qos.name, ", which allows ",
                   qos.limits.max_jobs_per_user);
    }
  }
  return std::nullopt;
}

}  // namespace slipway::scheduler
