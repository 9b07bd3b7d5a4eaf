// SPDX-License-Identifier: Apache-2.0
// Preemption: a job that may, by its QOS or its partition's tier, makes others go when it cannot start
// otherwise. Those go that lose the least work. What they leave is its own: where they lend their cores it
// starts at once, and where their nodes are clear only after a while it is planned there at once. Nobody
// slips in, of a higher rank neither: he may not make them go, and without them there was no room for him.
#include <algorithm>
#include <tuple>

#include "scheduler/core/planning_policy.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kPreemptorsMax = 8;  // looked at in one pass

// Core microseconds that would be done in vain.
std::int64_t WorkOf(const Job& job, Time now) {
  std::int64_t cores = 0;
  for (const NodeAllocation& held : job.nodes) cores += held.cores.count();
  return cores * std::max<std::int64_t>(now.us - job.started.us, 0);
}

}  // namespace

// Of a job that may be in several partitions only what it may do in all of them is sure.
const Partition* PlanningPolicy::LowestOf(const JobSpec& spec) const {
  std::vector<const Partition*> all = site_->PartitionsOf(spec.resources.partition);
  auto lowest = std::ranges::min_element(all, {}, &Partition::tier);
  return lowest == all.end() ? nullptr : *lowest;
}

PreemptMode PlanningPolicy::PreemptModeOf(const JobSpec& by, const JobSpec& victim) const {
  const Qos* own = site_->FindQos(by.qos);
  const Qos* other = site_->FindQos(victim.qos);
  if (own != nullptr && other != nullptr && own->preempts.contains(other->name) &&
      other->preempt != PreemptMode::kOff)
    return other->preempt;
  const Partition* from = LowestOf(by);
  const Partition* of = LowestOf(victim);
  if (from != nullptr && of != nullptr && from->tier > of->tier) return of->preempt;
  return PreemptMode::kOff;
}

// A whole node's memory cannot be lent, what has not begun yet cannot stand still, and who would end later at
// the cost of a promise may not: such jobs are made to run again instead, or end. A launch cannot run again:
// it ends.
PreemptMode PlanningPolicy::ModeFor(const Job& by, const Job& victim, bool may_end_later) const {
  PreemptMode mode = PreemptModeOf(*by.spec, *victim.spec);
  if (mode == PreemptMode::kSuspend && (!may_end_later || victim.spec->resources.exclusive ||
                                        victim.state != JobState::kRunning || !victim.AllStarted()))
    mode = PreemptMode::kRequeue;
  if (mode == PreemptMode::kRequeue && victim.spec->interactive) mode = PreemptMode::kCancel;
  return mode;
}

std::uint32_t PlanningPolicy::GraceOf(const JobSpec& by, const JobSpec& victim) const {
  const Qos* own = site_->FindQos(by.qos);
  const Qos* other = site_->FindQos(victim.qos);
  if (own != nullptr && other != nullptr && own->preempts.contains(other->name))
    return other->preempt_grace_s;
  const Partition* of = LowestOf(victim);
  return of == nullptr ? 0 : of->preempt_grace_s;
}

bool PlanningPolicy::CanPreempt(const JobSpec& spec) const {
  const Qos* qos = site_->FindQos(spec.qos);
  if (qos != nullptr && !qos->preempts.empty()) return true;
  const Partition* own = LowestOf(spec);
  return own != nullptr && std::ranges::any_of(site_->partitions, [&](const Partition& other) {
           return other.tier < own->tier && other.preempt != PreemptMode::kOff;
         });
}

std::vector<plan::JobNumber> PlanningPolicy::CandidatesFor(const State& state, const Job& job,
                                                           Time now) const {
  using Candidate = std::tuple<std::int64_t, std::uint64_t>;  // work, and of equals the youngest first
  std::vector<Candidate> candidates;
  for (JobId id : state.active) {
    const Job& other = *state.FindJob(id);
    bool runs = other.state == JobState::kStarting || other.state == JobState::kRunning;
    if (other.suspended()) continue;
    if (!runs || other.preempted_by || other.cancelled_by || !planner_.IsRunning(id.value)) continue;
    if (PreemptModeOf(*job.spec, *other.spec) == PreemptMode::kOff) continue;
    const std::vector<JobId> whole = state.ComponentsOf(id);  // it goes with all that started with it
    if (std::ranges::any_of(whole, [&](JobId one) {
          return PreemptModeOf(*job.spec, *state.FindJob(one)->spec) == PreemptMode::kOff;
        }))
      continue;
    std::int64_t work = whole.empty() ? WorkOf(other, now) : 0;
    for (JobId one : whole) work += WorkOf(*state.FindJob(one), now);
    candidates.emplace_back(work, UINT64_MAX - id.value);
  }
  std::ranges::sort(candidates);
  std::vector<plan::JobNumber> jobs;
  for (const auto& [work, number] : candidates) jobs.push_back(UINT64_MAX - number);
  return jobs;
}

// With a component all that started with it.
void PlanningPolicy::AddComponents(const State& state, std::vector<plan::Victim>& victims) {
  for (std::size_t i = 0; i < victims.size(); ++i) {
    for (JobId id : state.ComponentsOf({victims[i].job})) {
      if (std::ranges::find(victims, id.value, &plan::Victim::job) == victims.end())
        victims.push_back({id.value, false});
    }
  }
}

std::optional<PlanningPolicy::Starts> PlanningPolicy::PreemptFor(const State& state, const Job& job, Time now,
                                                                 Plan& plan, Touched& touched) {
  // Who was made to go for it is still going, or is just being told.
  if (std::ranges::find(plan.preempt, job.id, &Preemption::by) != plan.preempt.end()) return std::nullopt;
  bool waits = std::ranges::any_of(state.active, [&](JobId id) {
    const Job& other = *state.FindJob(id);
    return other.preempted_by == job.id && other.state != JobState::kPending;
  });
  if (waits) return std::nullopt;
  std::vector<plan::JobNumber> running = CandidatesFor(state, job, now), planned;
  std::erase_if(running, [&](plan::JobNumber number) {
    return std::ranges::find(plan.preempt, JobId{number}, &Preemption::victim) != plan.preempt.end();
  });
  for (const plan::Planner::Promise& promise : planner_.Promises()) {
    const Job& other = *state.FindJob({promise.job});
    if (PreemptModeOf(*job.spec, *other.spec) != PreemptMode::kOff) planned.push_back(promise.job);
  }
  if (running.empty() && planned.empty()) return std::nullopt;
  std::vector<plan::Victim> candidates;
  // What started together does not stand still in part, and a borrower has to have one end.
  const bool whole = !state.ComponentsOf(job.id).empty();
  for (plan::JobNumber number : running) {
    bool may_lend = !whole && state.ComponentsOf({number}).empty();
    candidates.push_back({number, ModeFor(job, *state.FindJob({number}), may_lend) == PreemptMode::kSuspend});
  }
  auto victims = planner_.VictimsFor(job.id.value, candidates, planned);
  if (!victims || victims->empty()) return std::nullopt;
  for (plan::JobNumber other : planned) planner_.DropPromise(other);
  AddComponents(state, *victims);
  for (const auto& [victim, lends] : *victims) {
    const Job& other = *state.FindJob({victim});
    PreemptMode mode = ModeFor(job, other, lends);
    std::uint32_t grace_s = GraceOf(*job.spec, *other.spec);
    for (JobId id : state.ComponentsOf(other.id)) {  // they end together, for good or to run again
      const Job& one = *state.FindJob(id);
      if (ModeFor(job, one, false) == PreemptMode::kCancel) mode = PreemptMode::kCancel;
      grace_s = std::max(grace_s, GraceOf(*job.spec, *one.spec));
    }
    plan.preempt.push_back({other.id, other.attempt, job.id, mode, grace_s});
    if (mode == PreemptMode::kSuspend) {
      planner_.Lend(victim, now.us + LengthOf(job) + grace());
      for (const NodeAllocation& held : other.nodes) {
        if (!held.released) FreeAt(state, numbers_.at(held.node), touched).cores.Insert(held.cores);
      }
    } else {
      planner_.EndsBy(victim, now.us + grace_s * kSecond + grace());
    }
  }
  if (!planned.empty()) ++disturbances_;
  std::optional<plan::PlanStart> start = planner_.StartOrPlan(job.id.value);
  return start ? Starts{std::move(*start)} : Starts{};
}

std::vector<JobId> PlanningPolicy::FirstPreemptors() const {
  std::vector<std::pair<plan::Rank, JobId>> waiting;
  for (JobId id : preemptors_) {
    if (planner_.Knows(id.value) && !planner_.IsRunning(id.value))
      waiting.emplace_back(planner_.RankOf(id.value), id);
  }
  std::ranges::sort(waiting);
  if (waiting.size() > kPreemptorsMax) waiting.resize(kPreemptorsMax);
  std::vector<JobId> jobs;
  for (const auto& [rank, id] : waiting) jobs.push_back(id);
  return jobs;
}

// A promise to a job that may be preempted does not bind who may preempt it: it is given again behind his.
void PlanningPolicy::YieldPromises(const State& state) {
  for (JobId id : FirstPreemptors()) {
    const Job& job = *state.FindJob(id);
    auto own = planner_.PromiseOf(id.value);
    std::vector<plan::JobNumber> yielding;
    for (const plan::Planner::Promise& promise : planner_.Promises()) {
      bool before = !own || promise.start < own->start;
      if (before && PreemptModeOf(*job.spec, *state.FindJob({promise.job})->spec) != PreemptMode::kOff)
        yielding.push_back(promise.job);
    }
    for (plan::JobNumber other : yielding) planner_.DropPromise(other);
    disturbed_ = disturbed_ || !yielding.empty();
  }
}

std::optional<PlanningPolicy::Starts> PlanningPolicy::Preempt(const State& state, Time now, Plan& plan,
                                                              Touched& touched) {
  for (JobId id : FirstPreemptors()) {
    // One at a time: what the next may still take is known only when this one is planned.
    if (auto starts = PreemptFor(state, *state.FindJob(id), now, plan, touched)) return starts;
  }
  return std::nullopt;
}

}  // namespace slipway::scheduler
