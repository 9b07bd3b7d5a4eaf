// SPDX-License-Identifier: Apache-2.0
// Who waits, is planned and runs, and what each of these takes in the profile. The pass is in pass.cc.
#include "scheduler/plan/planner.h"

#include <algorithm>
#include <utility>

#include "base/result/result.h"

namespace slipway::plan {
namespace {

// What the whole job takes, for limits.
Vec WholeOf(const Request& request) {
  if (request.tasks == 0) return request.node * request.nodes_min;
  return *request.task * request.tasks + request.node * request.nodes_min;
}

}  // namespace

Vec Planner::LentOf(const Vec& what) {
  Vec lent;
  lent[kCores] = what[kCores];
  lent[kToken] = what[kToken];
  return lent;
}

Planner::Planner(std::shared_ptr<const Policy> policy)
    : policy_(std::move(policy)),
      rules_(policy_->rules()),
      backfill_order_(policy_->has_backfill_order()),
      plannable_(rules_.reservations) {}

LaneNumber Planner::AddLane(Rank offset) {
  lanes_.push_back(offset);
  return static_cast<LaneNumber>(lanes_.size() - 1);
}

std::uint32_t Planner::AddLimit(const Limit& limit) {
  limits_.push_back(limit);
  return static_cast<std::uint32_t>(limits_.size() - 1);
}

void Planner::ChangeLimit(std::uint32_t number, std::int64_t jobs_max, const Vec& max) {
  limits_[number].jobs_max = jobs_max;
  limits_[number].max = max;
  GainEverywhere();
}

LimitSet Planner::SetOfLimits(std::vector<std::uint32_t> limits) {
  std::ranges::sort(limits);
  limits.erase(std::unique(limits.begin(), limits.end()), limits.end());
  auto [place, added] = limit_set_numbers_.try_emplace(limits, static_cast<LimitSet>(limit_sets_.size()));
  if (added) limit_sets_.push_back(std::move(limits));
  return place->second;
}

std::optional<std::uint32_t> Planner::FirstReachedOf(const std::vector<Limit>& limits,
                                                     const std::vector<std::uint32_t>& numbers,
                                                     const Request& request) {
  Vec whole = WholeOf(request);
  for (std::uint32_t number : numbers) {
    const Limit& limit = limits[number];
    if (limit.jobs_max >= 0 && limit.jobs >= limit.jobs_max) return number;
    if (limit.nodes_max >= 0 && limit.nodes + request.nodes_min > limit.nodes_max) return number;
    for (std::size_t i = 0; i < kDims; ++i) {
      if (limit.max[i] > 0 && limit.used[i] + whole[i] > limit.max[i]) return number;
    }
  }
  return std::nullopt;
}

std::optional<std::uint32_t> Planner::BlockingLimit(JobNumber id) const {
  const Job& job = jobs_.at(id);
  return FirstReached(job.limits, queue_.shape(job.shape).request);
}

void Planner::CountIn(std::vector<Limit>& limits, const std::vector<std::uint32_t>& numbers,
                      const Request& request, int change) {
  Vec whole = WholeOf(request) * change;
  for (std::uint32_t number : numbers) {
    limits[number].jobs += change;
    limits[number].nodes += std::int64_t{request.nodes_min} * change;
    limits[number].used += whole;
  }
}

void Planner::Rerank(JobNumber id, Rank rank, LaneNumber lane) {
  Job& job = jobs_.at(id);
  if (job.state == JobState::kRunning || (job.entry.rank == rank && job.lane == lane)) return;
  bool waits = job.state == JobState::kWaiting;
  if (waits) queue_.Remove(job.group, job.entry);
  if (!backfill_order_) job.entry.backfill_rank = rank;
  job.entry.rank = rank;
  job.lane = lane;
  if (waits) Enqueue(job);
  changes_.everywhere = true;
}

Planner::Job& Planner::Insert(const PlanJob& from) {
  auto [place, added] = jobs_.try_emplace(from.facts.id);
  CHECK(added);
  Job& job = place->second;
  bool new_shape = false;
  job.shape = queue_.AddShape(from.request, &new_shape);
  if (new_shape) cluster_.Learn(from.request);
  job.lane = from.lane;
  job.limits = SetOfLimits(from.limits);
  job.length = After(from.facts.length, grace_);
  job.least = from.least > 0 ? std::min(After(from.least, grace_), job.length) : job.length;
  Rank rank = policy_->RankOf(from.facts);
  job.entry = {rank, from.facts.id, backfill_order_ ? policy_->BackfillRankOf(from.facts) : rank,
               from.prefer};
  return job;
}

void Planner::Enqueue(Job& job) {
  job.state = JobState::kWaiting;
  job.group = queue_.Insert(job.shape, job.length, job.least, job.lane, job.limits, job.entry);
  Shape& shape = queue_.shape(job.shape);
  shape.rank = std::min(shape.rank, job.entry.rank + lanes_[job.lane]);
}

void Planner::Add(const PlanJob& job) {
  Enqueue(Insert(job));
  changes_.arrived.push_back(job.facts.id);
}

// What the job held is free.
void Planner::GainOf(const Job& job) {
  constexpr std::size_t kFreedMax = 512;
  Gain();
  for (const NodeShare& share : job.nodes)
    cluster_.EachView(share.node, [&](NodeNumber view) { changes_.freed.push_back(view); });
  if (changes_.freed.size() > kFreedMax) changes_.everywhere = true;
  if (job.limits != 0) changes_.limits.insert(job.limits);
  changes_.licences = changes_.licences || !queue_.shape(job.shape).request.licences.empty();
}

void Planner::AddRunning(const PlanJob& job, const Placement& nodes, Instant end) {
  Start(Insert(job), nodes, end);
}

bool Planner::IsRunning(JobNumber job) const {
  auto found = jobs_.find(job);
  return found != jobs_.end() && found->second.state == JobState::kRunning;
}

void Planner::TakeOrGiveOn(Cluster& cluster, const Job& job, const NodeShare& share, Use use,
                           bool take) const {
  Vec what = TakenOn(queue_.shape(job.shape).request, share);
  Vec lent = LentOf(what);
  cluster.EachView(share.node, [&](NodeNumber view) {
    if (job.lent_until == 0) {
      take ? cluster.Take(view, what, job.start, job.end, use)
           : cluster.Give(view, what, job.start, job.end, use);
      return;
    }
    take ? cluster.Take(view, what - lent, job.start, job.end, use)
         : cluster.Give(view, what - lent, job.start, job.end, use);
    take ? cluster.Take(view, lent, job.lent_until, job.end, Use::kHold)
         : cluster.Give(view, lent, job.lent_until, job.end, Use::kHold);
  });
}

void Planner::TakeOrGive(Cluster& cluster, const Job& job, Use use, bool take) const {
  const Request& request = queue_.shape(job.shape).request;
  for (const NodeShare& share : job.nodes) TakeOrGiveOn(cluster, job, share, use, take);
  take ? cluster.TakeLicences(request.licences, job.start, job.end, use)
       : cluster.GiveLicences(request.licences, job.start, job.end, use);
}

void Planner::Start(Job& job, Placement nodes, Instant end) {
  const Request& request = queue_.shape(job.shape).request;
  job.state = JobState::kRunning;
  job.nodes = std::move(nodes);
  job.start = cluster_.now();
  job.end = end;
  TakeOrGive(cluster_, job, Use::kRunning, true);
  Count(job.limits, request, +1);
  ends_.emplace(end, job.entry.job);
}

void Planner::Hold(Job& job, Planned planned) {
  job.state = JobState::kPlanned;
  job.start = planned.start;
  job.end = After(planned.start, job.length);
  job.nodes = std::move(planned.nodes);
  job.planned_at = gains_;
  TakeOrGive(cluster_, job, Use::kHold, true);
  planned_.emplace(job.start, job.entry.job);
  CountPlanned(job.entry.job, +1);
}

void Planner::Unhold(Job& job) {
  CountPlanned(job.entry.job, -1);
  TakeOrGive(cluster_, job, Use::kHold, false);
  planned_.erase({job.start, job.entry.job});
  job.nodes.clear();
}

void Planner::Remove(JobNumber id) {
  if (auto gang = gang_first_.find(id); gang != gang_first_.end()) return RemoveGang(gang->second);
  auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  Job& job = found->second;
  if (job.state == JobState::kWaiting) {
    queue_.Remove(job.group, job.entry);
  } else if (job.state == JobState::kPlanned) {
    GainOf(job);
    Unhold(job);
  } else {
    TakeOrGive(cluster_, job, Use::kRunning, false);
    Count(job.limits, queue_.shape(job.shape).request, -1);
    ends_.erase({job.end, id});
    GainOf(job);
  }
  queue_.DropShape(job.shape);
  jobs_.erase(found);
}

void Planner::Release(JobNumber id, NodeNumber node) {
  auto found = jobs_.find(id);
  if (found == jobs_.end() || found->second.state != JobState::kRunning) return;
  Job& job = found->second;
  auto share = std::ranges::find_if(
      job.nodes, [&](const NodeShare& held) { return cluster_.SameMachine(held.node, node); });
  if (share == job.nodes.end()) return;
  TakeOrGiveOn(cluster_, job, *share, Use::kRunning, false);
  job.nodes.erase(share);
  cluster_.EachView(node, [&](NodeNumber view) { changes_.freed.push_back(view); });
  Gain();
}

void Planner::SetUsable(NodeNumber node, bool usable) {
  if (cluster_.Usable(node) == usable) return;
  cluster_.SetUsable(node, usable);
  GainEverywhere();
}

void Planner::SetAwaited(NodeNumber node, bool awaited) {
  if (cluster_.Awaited(node) == awaited) return;
  cluster_.SetAwaited(node, awaited);
  GainEverywhere();  // what is planned there may have to move
}

void Planner::SetTotal(NodeNumber node, const Vec& total) {
  cluster_.SetTotal(node, total);
  GainEverywhere();
}

void Planner::Reserve(NodeNumber node, const Vec& what, Instant from, Instant to) {
  cluster_.Take(node, what, from, to, Use::kHold);
  GainEverywhere();  // planned jobs may have to move
}

void Planner::Unreserve(NodeNumber node, const Vec& what, Instant from, Instant to) {
  cluster_.Give(node, what, from, to, Use::kHold);
  GainEverywhere();
}

std::size_t Planner::ExtendOverdue(Instant more) {
  std::size_t count = 0;
  Instant now = cluster_.now();
  while (!ends_.empty() && ends_.begin()->first <= now) {
    JobNumber id = ends_.begin()->second;
    ends_.erase(ends_.begin());
    Job& job = jobs_.at(id);
    // As if the next `more` were all that it takes: what it took until now is past.
    if (job.lent_until != 0) {
      TakeOrGive(cluster_, job, Use::kRunning, false);
      job.end = After(now, more);
      job.lent_until = std::min(job.lent_until, job.end);
      TakeOrGive(cluster_, job, Use::kRunning, true);
      ends_.emplace(job.end, id);
      ++count;
      continue;
    }
    Instant start = std::exchange(job.start, job.end);
    job.end = After(now, more);
    TakeOrGive(cluster_, job, Use::kRunning, true);
    job.start = start;
    ends_.emplace(job.end, id);
    ++count;
  }
  if (count > 0) GainEverywhere();
  return count;
}

void Planner::ForgetFarPlans() {
  if (rules_.keeps_choice) return;
  while (!planned_.empty() && planned_.rbegin()->first > After(cluster_.now(), horizon_)) {
    DropPromise(planned_.rbegin()->second);
  }
}

std::vector<JobNumber> Planner::Overdue() const {
  std::vector<JobNumber> jobs;
  for (auto at = ends_.begin(); at != ends_.end() && at->first <= cluster_.now(); ++at)
    jobs.push_back(at->second);
  return jobs;
}

Instant Planner::NextStart() const { return planned_.empty() ? kNever : planned_.begin()->first; }

Waits Planner::WhyWaits(JobNumber id) {
  const Job& job = jobs_.at(id);
  if (job.state == JobState::kPlanned) return Waits::kPlanned;
  if (const Gang* gang = GangOf(id)) {
    if (!GangLimitsAllow(*gang)) return Waits::kLimit;
    bool could = std::ranges::all_of(*gang, [&](JobNumber one) {
      return cluster_.CouldRun(queue_.shape(jobs_.at(one).shape).request, true);
    });
    return could ? Waits::kOthers : Waits::kNever;
  }
  Shape& shape = queue_.shape(job.shape);
  if (!LimitsAllow(job.limits, shape.request)) return Waits::kLimit;
  if (shape.could_run_at >> 1 != cluster_.version())
    shape.could_run_at = cluster_.version() << 1 | (cluster_.CouldRun(shape.request, true) ? 1 : 0);
  return (shape.could_run_at & 1) != 0 ? Waits::kOthers : Waits::kNever;
}

bool Planner::Fits(const Request& request, const Planned& planned, Instant length) const {
  Instant end = After(planned.start, length);
  if (!request.licences.empty() && !cluster_.licences().Fits(request.licences, planned.start, end))
    return false;
  return std::ranges::all_of(planned.nodes, [&](const NodeShare& share) {
    return (cluster_.Usable(share.node) || cluster_.Awaited(share.node)) &&
           cluster_.Line(share.node).Fits(TakenOn(request, share), planned.start, end);
  });
}

void Planner::KeepPromise(JobNumber id, Instant start, const Placement& nodes) {
  auto found = jobs_.find(id);
  bool alone = found != jobs_.end() && found->second.state == JobState::kWaiting;
  if (found == jobs_.end() || !(alone || found->second.state == JobState::kGang)) return;
  Job& job = found->second;
  Planned planned{std::max(start, cluster_.now()), nodes};  // one that is due is a promise still
  if (!Fits(queue_.shape(job.shape).request, planned, job.length)) return;
  if (alone) queue_.Remove(job.group, job.entry);
  Hold(job, std::move(planned));
  if (!alone && gang_first_.at(id) != id) ++gang_others_planned_;
  job.planned_at = 0;  // what has become free since may let it start earlier
}

std::vector<Planner::Promise> Planner::Promises() const {
  std::vector<Promise> promises;
  for (const auto& [start, id] : planned_) {
    if (start < kNever) promises.push_back({id, start, &jobs_.at(id).nodes});
  }
  return promises;
}

std::optional<Planner::Promise> Planner::PromiseOf(JobNumber id) const {
  auto found = jobs_.find(id);
  if (found == jobs_.end() || found->second.state != JobState::kPlanned || found->second.start >= kNever)
    return std::nullopt;
  return Promise{id, found->second.start, &found->second.nodes};
}

}  // namespace slipway::plan
