// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/check_limits.h"

#include <algorithm>

#include "scheduler/core/placement.h"

namespace slipway::scheduler {
namespace {

// Slurm's names: QOS or Assoc, then what, then how it is limited.
struct Names {
  std::string_view cores, memory, nodes, gpus;
};
constexpr Names kGrp{"GrpCpuLimit", "GrpMemLimit", "GrpNodeLimit", "GrpGRES"};
constexpr Names kPerUser{"MaxCpuPerUserLimit", "MaxMemoryPerUser", "MaxNodePerUserLimit", "MaxGRESPerUser"};
constexpr Names kPerJob{"MaxCpuPerJobLimit", "MaxMemPerJob", "MaxNodePerJobLimit", "MaxGRESPerJob"};

struct Scope {
  std::string_view prefix;  // "QOS", "Assoc"
  std::string who;          // "QOS high", "account physics"
};

Failure Refuse(std::string_view prefix, std::string_view name, const std::string& who, std::string_view what,
               std::int64_t asked, std::int64_t limit) {
  return Fail(Code::kFailedPrecondition, prefix, name, ": ", who, " allows ", limit, " ", what, ", not ",
              asked);
}

Result<> CheckMost(const Scope& scope, const Names& names, const Tres& limit, const Tres& asked) {
  auto over = [](std::int64_t want, std::int64_t most) { return most >= 0 && want > most; };
  if (over(asked.cores, limit.cores))
    return Refuse(scope.prefix, names.cores, scope.who, "cores", asked.cores, limit.cores);
  if (over(asked.memory_bytes, limit.memory_bytes))
    return Refuse(scope.prefix, names.memory, scope.who, "bytes of memory", asked.memory_bytes,
                  limit.memory_bytes);
  if (over(asked.nodes, limit.nodes))
    return Refuse(scope.prefix, names.nodes, scope.who, "nodes", asked.nodes, limit.nodes);
  if (over(asked.gpus, limit.gpus))
    return Refuse(scope.prefix, names.gpus, scope.who, "GPUs", asked.gpus, limit.gpus);
  return {};
}

Result<> CheckLeast(const Scope& scope, const Tres& limit, const Tres& asked) {
  auto under = [&](std::int64_t have, std::int64_t least, std::string_view name,
                   std::string_view what) -> Result<> {
    if (least < 0 || have >= least) return {};
    return Fail(Code::kFailedPrecondition, scope.prefix, name, ": ", scope.who, " is for jobs of at least ",
                least, " ", what, ", not ", have);
  };
  TRY(under(asked.cores, limit.cores, "MinCpuNotSatisfied", "cores"));
  TRY(under(asked.memory_bytes, limit.memory_bytes, "MinMemory", "bytes of memory"));
  TRY(under(asked.nodes, limit.nodes, "MinNodeNotSatisfied", "nodes"));
  return under(asked.gpus, limit.gpus, "MinGRES", "GPUs");
}

Result<> CheckWall(const Scope& scope, const Limits& limits, std::uint32_t time_limit_s) {
  if (limits.max_wall_s < 0 || (time_limit_s > 0 && time_limit_s <= limits.max_wall_s)) return {};
  return Fail(Code::kFailedPrecondition, scope.prefix, "MaxWallDurationPerJobLimit: ", scope.who, " allows ",
              limits.max_wall_s, " s, not ",
              time_limit_s == 0 ? "an unlimited time" : Cat(time_limit_s, " s"));
}

Result<> CheckAll(const Scope& scope, const Limits& limits, const Tres& asked, std::uint32_t time_limit_s) {
  TRY(CheckMost(scope, kPerJob, limits.max_per_job, asked));
  TRY(CheckMost(scope, kPerUser, limits.max_per_user, asked));
  TRY(CheckMost(scope, kGrp, limits.grp, asked));
  TRY(CheckLeast(scope, limits.min_per_job, asked));
  return CheckWall(scope, limits, time_limit_s);
}

std::int64_t LiveIn(const State& state, const std::string& account, std::size_t depth = 0) {
  std::int64_t jobs = 0;
  for (auto at = state.live_by_association.lower_bound({account, 0});
       at != state.live_by_association.end() && at->first.account == account; ++at)
    jobs += at->second;
  if (depth > state.accounts.size()) return jobs;
  for (const auto& [name, below] : state.accounts) {
    if (below.parent == account) jobs += LiveIn(state, name, depth + 1);
  }
  return jobs;
}

// Pending and running jobs in the QOS, by their own choice or by their partition's; of one user or of all.
std::int64_t LiveIn(const Site& site, const State& state, const Qos& qos, std::optional<std::uint32_t> uid) {
  std::int64_t jobs = 0;
  for (const auto& [key, live] : state.live_by_qos) {
    if (uid && key.uid != *uid) continue;
    std::vector<const Qos*> counted = QosOf(site, key.qos, key.partition);
    if (std::ranges::find(counted, &qos) != counted.end()) jobs += live;
  }
  return jobs;
}

template <class Map, class Key>
std::int64_t CountOf(const Map& map, const Key& key) {
  auto found = map.find(key);
  return found == map.end() ? 0 : found->second;
}

}  // namespace

std::vector<const Qos*> QosOf(const Site& site, std::string_view own, std::string_view partitions) {
  std::vector<const Qos*> all;
  auto add = [&](std::string_view name) {
    const Qos* qos = site.FindQos(name);
    if (qos != nullptr && std::ranges::find(all, qos) == all.end()) all.push_back(qos);
  };
  add(own);
  for (const Partition* partition : site.PartitionsOf(partitions)) add(partition->qos);
  return all;
}

void EachAccountUp(const State& state, const std::string& account,
                   const std::function<void(const Account&)>& see) {
  std::string name = account;
  for (std::size_t depth = 0; depth <= state.accounts.size(); ++depth) {
    auto found = state.accounts.find(name);
    if (found == state.accounts.end()) return;
    see(found->second);
    name = found->second.parent;
  }
}

Limits LimitsOfUser(const State& state, const AssociationKey& key) {
  Limits limits;
  if (const Association* own = state.FindAssociation(key)) limits = own->limits;
  auto inherit = [](std::int64_t& own, std::int64_t above) {
    if (own < 0) own = above;
  };
  auto inherit_tres = [&](Tres& own, const Tres& above) {
    inherit(own.cores, above.cores);
    inherit(own.memory_bytes, above.memory_bytes);
    inherit(own.nodes, above.nodes);
    inherit(own.gpus, above.gpus);
  };
  EachAccountUp(state, key.account, [&](const Account& account) {
    inherit_tres(limits.max_per_user, account.limits.max_per_user);
    inherit_tres(limits.max_per_job, account.limits.max_per_job);
    inherit_tres(limits.min_per_job, account.limits.min_per_job);
    inherit(limits.max_jobs_per_user, account.limits.max_jobs_per_user);
    inherit(limits.max_submit_per_user, account.limits.max_submit_per_user);
    inherit(limits.max_wall_s, account.limits.max_wall_s);
  });
  return limits;
}

Result<> CheckQos(const Qos& qos, const JobSpec& spec, std::uint32_t time_limit_s) {
  return CheckAll({"QOS", Cat("QOS ", qos.name)}, qos.limits, AskedOf(spec.resources), time_limit_s);
}

Result<> CheckJobLimits(const Site& site, const State& state, const JobSpec& spec,
                        std::uint32_t time_limit_s) {
  Tres asked = AskedOf(spec.resources);
  if (const Qos* qos = site.FindQos(spec.qos)) TRY(CheckQos(*qos, spec, time_limit_s));
  if (spec.account.empty()) return {};
  Limits own = LimitsOfUser(state, {spec.account, spec.user.uid});
  TRY(CheckAll({"Assoc", Cat(spec.user.name, "'s part of account ", spec.account)}, own, asked,
               time_limit_s));
  Result<> group;
  EachAccountUp(state, spec.account, [&](const Account& account) {
    if (group) group = CheckMost({"Assoc", Cat("account ", account.name)}, kGrp, account.limits.grp, asked);
  });
  return group;
}

Result<> CheckSumLimits(const Site& site, const State& state, const std::vector<JobSpec>& components) {
  // Of those components that count somewhere; one that more of them than may run at once would never start.
  auto check = [&](const Scope& scope, const Limits& limits, const auto& counts) -> Result<> {
    Tres sum{0, 0, 0, 0};
    std::int64_t jobs = 0;
    for (const JobSpec& spec : components) {
      if (!counts(spec)) continue;
      Tres one = AskedOf(spec.resources);
      sum.cores += one.cores;
      sum.memory_bytes += one.memory_bytes;
      sum.nodes += one.nodes;
      sum.gpus += one.gpus;
      ++jobs;
    }
    for (std::int64_t most : {limits.grp_jobs, limits.max_jobs_per_user}) {
      if (most >= 0 && jobs > most)
        return Refuse(scope.prefix, "JobsLimit", scope.who, "components running at once", jobs, most);
    }
    TRY(CheckMost(scope, kPerJob, limits.max_per_job, sum));
    TRY(CheckMost(scope, kPerUser, limits.max_per_user, sum));
    return CheckMost(scope, kGrp, limits.grp, sum);
  };
  for (const JobSpec& first : components) {
    for (const Qos* qos : QosOf(site, first.qos, first.resources.partition)) {
      TRY(check({"QOS", Cat("QOS ", qos->name)}, qos->limits, [&](const JobSpec& spec) {
        std::vector<const Qos*> all = QosOf(site, spec.qos, spec.resources.partition);
        return std::ranges::find(all, qos) != all.end();
      }));
    }
    if (first.account.empty()) continue;
    TRY(check({"Assoc", Cat(first.user.name, "'s part of account ", first.account)},
              LimitsOfUser(state, {first.account, first.user.uid}),
              [&](const JobSpec& spec) { return spec.account == first.account; }));
    Result<> group;
    EachAccountUp(state, first.account, [&](const Account& account) {
      Limits grp;
      grp.grp = account.limits.grp;
      grp.grp_jobs = account.limits.grp_jobs;
      auto below = [&](const JobSpec& spec) {
        bool in = false;
        EachAccountUp(state, spec.account, [&](const Account& up) { in = in || up.name == account.name; });
        return in;
      };
      if (group) group = check({"Assoc", Cat("account ", account.name)}, grp, below);
    });
    TRY(std::move(group));
  }
  return {};
}

Result<> CheckSubmitLimits(const Site& site, const State& state, const JobSpec& spec, std::uint32_t tasks) {
  auto check = [&](std::int64_t limit, auto live, std::string_view name, const std::string& who) -> Result<> {
    if (limit < 0) return {};
    std::int64_t have = live();
    if (have + tasks <= limit) return {};
    return Fail(Code::kResourceExhausted, name, ": ", who, " has ", have, " of ", limit,
                " jobs pending and running; ", tasks == 1 ? "one more is" : Cat(tasks, " more are"),
                " too many");
  };
  for (const Qos* qos : QosOf(site, spec.qos, spec.resources.partition)) {
    TRY(check(
        qos->limits.max_submit_per_user, [&] { return LiveIn(site, state, *qos, spec.user.uid); },
        "QOSMaxSubmitJobPerUserLimit", Cat(spec.user.name, " in QOS ", qos->name)));
    TRY(check(
        qos->limits.grp_submit, [&] { return LiveIn(site, state, *qos, std::nullopt); },
        "QOSGrpSubmitJobsLimit", Cat("QOS ", qos->name)));
  }
  if (spec.account.empty()) return {};
  AssociationKey key{spec.account, spec.user.uid};
  Limits own = LimitsOfUser(state, key);
  auto live = [&] { return CountOf(state.live_by_association, key); };
  std::string who = Cat(spec.user.name, " in account ", spec.account);
  TRY(check(own.max_submit_per_user, live, "AssocMaxSubmitJobLimit", who));
  TRY(check(own.grp_submit, live, "AssocGrpSubmitJobsLimit", who));
  Result<> group;
  EachAccountUp(state, spec.account, [&](const Account& account) {
    if (group)
      group = check(
          account.limits.grp_submit, [&] { return LiveIn(state, account.name); }, "AssocGrpSubmitJobsLimit",
          Cat("account ", account.name));
  });
  return group;
}

}  // namespace slipway::scheduler
