// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/running_limits.h"

#include <algorithm>

#include "scheduler/core/check_limits.h"
#include "scheduler/core/fair_tree.h"

namespace slipway::scheduler {

template <class See>
void RunningLimits::EachOf(const State& state, const Job& job, See see) const {
  auto add = [&](Key key, const Tres& tres, std::int64_t jobs) {
    bool bound = jobs >= 0 || tres.cores >= 0 || tres.memory_bytes >= 0 || tres.nodes >= 0 || tres.gpus >= 0;
    if (!bound && key.kind != Kind::kBilling) return;
    see(std::move(key), [&] {
      plan::Limit limit;
      limit.jobs_max = jobs;
      limit.nodes_max = tres.nodes;
      limit.max[plan::kCores] = std::max<std::int64_t>(tres.cores, 0);
      limit.max[plan::kMemory] = std::max<std::int64_t>(tres.memory_bytes, 0);
      limit.max[plan::kGpus] = std::max<std::int64_t>(tres.gpus, 0);
      return limit;
    });
  };
  auto add_bound = [&](Key key, std::uint32_t most) {
    if (most == 0) return;
    see(std::move(key), [&] {
      plan::Limit limit;
      limit.planned_max = most;
      return limit;
    });
  };
  const JobSpec& spec = *job.spec;
  if (auto array = state.arrays.find(job.array); array != state.arrays.end()) {
    std::uint32_t most = array->second.spec->array->max_running;
    if (most > 0) add({Kind::kArray, "", array->first.value}, {}, most);
  }
  for (const Qos* qos : QosOf(*site_, spec.qos, job.PartitionName())) {
    add({Kind::kQos, qos->name, 0}, qos->limits.grp, qos->limits.grp_jobs);
    add({Kind::kQosUser, qos->name, spec.user.uid}, qos->limits.max_per_user, qos->limits.max_jobs_per_user);
  }
  add_bound({Kind::kPlannedUser, "", spec.user.uid}, site_->plan.reservations_per_user);
  for (const Partition* partition : site_->PartitionsOf(job.PartitionName()))
    add_bound({Kind::kPlannedPartition, partition->name, 0}, site_->plan.reservations_per_partition);
  if (spec.account.empty()) return;
  Limits own = LimitsOfUser(state, {spec.account, spec.user.uid});
  auto less = [](std::int64_t a, std::int64_t b) { return a < 0 ? b : b < 0 ? a : std::min(a, b); };
  Tres both{less(own.grp.cores, own.max_per_user.cores),
            less(own.grp.memory_bytes, own.max_per_user.memory_bytes),
            less(own.grp.nodes, own.max_per_user.nodes), less(own.grp.gpus, own.max_per_user.gpus)};
  add({Kind::kUser, spec.account, spec.user.uid}, both, less(own.grp_jobs, own.max_jobs_per_user));
  EachAccountUp(state, spec.account, [&](const Account& account) {
    add({Kind::kAccount, account.name, 0}, account.limits.grp, account.limits.grp_jobs);
    if (account.limits.grp_billing_minutes >= 0) add({Kind::kBilling, account.name, 0}, {}, -1);
  });
}

std::vector<std::uint32_t> RunningLimits::Of(const State& state, const Job& job, plan::Planner& planner) {
  std::vector<std::uint32_t> numbers;
  EachOf(state, job, [&](Key key, auto make) {
    auto [place, added] = numbers_.try_emplace(key, 0);
    if (added) {
      place->second = planner.AddLimit(make());
      if (key.kind == Kind::kBilling) usage_due_ = {};  // look at once
      keys_[place->second] = std::move(key);
    }
    numbers.push_back(place->second);
  });
  return numbers;
}

std::vector<std::uint32_t> RunningLimits::Known(const State& state, const Job& job) const {
  std::vector<std::uint32_t> numbers;
  EachOf(state, job, [&](const Key& key, auto) {
    if (auto known = numbers_.find(key); known != numbers_.end()) numbers.push_back(known->second);
  });
  return numbers;
}

bool RunningLimits::billed() const {
  return std::ranges::any_of(numbers_, [](const auto& entry) { return entry.first.kind == Kind::kBilling; });
}

void RunningLimits::Update(const State& state, plan::Planner& planner, Time now) {
  if (!billed() || now < usage_due_) return;
  usage_due_ = now.PlusSeconds(site_->usage.recalculate_s);
  FairTree tree = ComputeFairTree(state);
  for (const auto& [key, number] : numbers_) {
    if (key.kind != Kind::kBilling) continue;
    auto account = state.accounts.find(key.name);
    if (account == state.accounts.end()) continue;
    std::uint64_t most =
        static_cast<std::uint64_t>(std::max<std::int64_t>(account->second.limits.grp_billing_minutes, 0));
    bool used_up = tree.accounts[key.name].usage / 60'000 >= most;
    std::int64_t jobs = used_up ? 0 : -1;
    if (planner.LimitOf(number).jobs_max != jobs) planner.ChangeLimit(number, jobs, {});
  }
}

std::string RunningLimits::Text(std::uint32_t number, const plan::Planner& planner,
                                const plan::Request& request) const {
  auto found = keys_.find(number);
  if (found == keys_.end()) return "";
  const Key& key = found->second;
  const plan::Limit& limit = planner.LimitOf(number);
  bool per_user = key.kind == Kind::kQosUser;
  bool qos = key.kind == Kind::kQos || per_user;
  if (key.kind == Kind::kArray)
    return Cat("JobArrayTaskLimit: ", limit.jobs, " tasks of its array run, and it allows ", limit.jobs_max);
  if (key.kind == Kind::kBilling)
    return Cat("AssocGrpBillingMinutes: account ", key.name, " has used up what it may");
  std::string who = qos ? Cat("QOS ", key.name) : Cat("account ", key.name);
  if (per_user || key.kind == Kind::kUser) who = Cat("the user's jobs in ", who);
  auto text = [&](std::string_view name, std::string_view what, std::int64_t used, std::int64_t most) {
    return Cat(qos ? "QOS" : "Assoc", name, ": ", who, ": ", used, " ", what, " in use, ", most, " allowed");
  };
  if (limit.jobs_max >= 0 && limit.jobs >= limit.jobs_max)
    return text(per_user                  ? "MaxJobsPerUserLimit"
                : key.kind == Kind::kUser ? "MaxJobsLimit"
                                          : "GrpJobsLimit",
                "jobs", limit.jobs, limit.jobs_max);
  if (limit.nodes_max >= 0 && limit.nodes + request.nodes_min > limit.nodes_max)
    return text(per_user ? "MaxNodePerUserLimit" : "GrpNodeLimit", "nodes", limit.nodes, limit.nodes_max);
  auto over = [&](plan::Dim dim) {
    std::int64_t whole = request.node[dim] * request.nodes_min + request.task[dim] * request.tasks;
    return limit.max[dim] > 0 && limit.used[dim] + whole > limit.max[dim];
  };
  if (over(plan::kCores))
    return text(per_user ? "MaxCpuPerUserLimit" : "GrpCpuLimit", "cores", limit.used[plan::kCores],
                limit.max[plan::kCores]);
  if (over(plan::kMemory))
    return text(per_user ? "MaxMemoryPerUser" : "GrpMemLimit", "bytes", limit.used[plan::kMemory],
                limit.max[plan::kMemory]);
  return text(per_user ? "MaxGRESPerUser" : "GrpGRES", "GPUs", limit.used[plan::kGpus],
              limit.max[plan::kGpus]);
}

std::string RunningLimits::BoundText(std::uint32_t number, const plan::Planner& planner) const {
  auto found = keys_.find(number);
  if (found == keys_.end()) return "";
  const Key& key = found->second;
  const plan::Limit& limit = planner.LimitOf(number);
  const bool user = key.kind == Kind::kPlannedUser;
  return Cat(user ? "bf_max_job_user: " : "bf_max_job_part: ", limit.planned, " of ",
             user ? "the user's jobs" : Cat("the jobs in partition ", key.name), " ",
             limit.planned == 1 ? "is" : "are", " planned already, and scheduler.reservations_per_",
             user ? "user" : "partition", " is ", limit.planned_max,
             "; it is planned after these, and starts before that where it fits");
}

}  // namespace slipway::scheduler
