// SPDX-License-Identifier: Apache-2.0
// What becomes of jobs: from their submission to their end, and until they are forgotten.
#include <algorithm>
#include <utility>

#include "scheduler/core/applier.h"
#include "scheduler/core/apply_accounts.h"
#include "scheduler/core/apply_dependencies.h"
#include "scheduler/core/derived.h"
#include "scheduler/core/usage.h"

namespace slipway::scheduler {

void Applier::operator()(const JobSubmitted& e) {
  if (e.job < state_.next_job) return;
  auto spec = std::make_shared<const JobSpec>(e.spec);
  EnsureAssociation(state_, *spec);
  if (!spec->array) {
    AddJob(e.job, spec, {}, 0);
    state_.next_job = {e.job.value + 1};
    return;
  }
  AddArray(e.job, spec, e.window);
}

void Applier::operator()(const HetJobSubmitted& e) {
  if (e.leader < state_.next_job || e.components.empty()) return;
  state_.hets[e.leader] = static_cast<std::uint32_t>(e.components.size());
  JobId id = e.leader;
  for (const JobSpec& component : e.components) {
    auto spec = std::make_shared<const JobSpec>(component);
    EnsureAssociation(state_, *spec);
    AddJob(id, spec, {}, 0);
    ++id.value;
  }
  state_.next_job = id;
}

void Applier::operator()(const JobStarted& e) {
  Job* job = Find(e.job);
  if (job == nullptr || job->state != JobState::kPending || e.attempt != job->attempt + 1 || e.nodes.empty())
    return;
  for (const NodeAllocation& held : e.nodes) {
    if (state_.nodes.count(held.node) == 0) return;
  }
  Unqueue(state_, *job);
  job->state = JobState::kStarting;
  job->planned.reset();
  job->attempt = e.attempt;
  job->nodes = e.nodes;
  job->started = at_;
  job->running = job->ended = {};
  job->outcome.reset();
  job->billing = e.billing;
  job->partition = e.partition;
  if (e.time_limit_s > 0 && e.time_limit_s < job->time_limit_s)
    job->limit_asked_s = std::exchange(job->time_limit_s, e.time_limit_s);
  job->suspended_us = 0;
  job->signalled = false;
  job->kill_at = {};
  job->charged_until = e.billing > 0 ? at_ : Time{};
  for (const NodeAllocation& held : job->nodes) Allot(state_.nodes.find(held.node)->second, job->id, held);
  Index(state_, *job);
  CountRunning(*job, +1);
  job->steps.clear();
  job->next_step = 0;
  if (job->spec->interactive || !state_.FollowsLeader(job->id)) {
    MakePrimaryStep(*job);
  } else {
    job->state = JobState::kRunning;
    job->running = at_;
  }
  Resolve(state_, at_, *job);
  MakeNext(job->array);
}

void Applier::operator()(const StartPlanned& e) {
  Job* job = Find(e.job);
  if (job == nullptr || job->state != JobState::kPending) return;
  job->planned = e.planned;
  if (e.planned.at.us == 0) job->planned.reset();
}

void Applier::operator()(const JobCancelRequested& e) {
  Job* job = Find(e.job);
  if (job != nullptr && !IsTerminal(job->state) && !job->cancelled_by) job->cancelled_by = e.uid;
}

void Applier::operator()(const JobCompleting& e) {
  Job* job = FindAttempt(e.job, e.attempt);
  if (job == nullptr || job->state == JobState::kCompleting) return;
  job->state = JobState::kCompleting;
  job->outcome = e.outcome;
  if (job->suspended()) job->charged_until = std::max(job->charged_until, at_);
  job->suspended_at = {};  // its processes are to end; cores that it has lent it does not get back
}

void Applier::operator()(const NodeReleased& e) {
  Job* job = FindAttempt(e.job, e.attempt);
  if (job == nullptr) return;
  auto held = std::ranges::find(job->nodes, e.node, &NodeAllocation::node);
  if (held == job->nodes.end() || held->released) return;
  held->released = true;
  Release(state_.nodes.find(e.node)->second, job->id, *held, !job->lent_to);
  for (Step& step : job->steps) {
    for (StepNode& part : step.nodes) {
      if (part.node == e.node && part.state != StepState::kEnded)
        End(step, part, 137, EndReason::kKilled, "", at_);
    }
  }
}

void Applier::operator()(const JobEnded& e) {
  Job* job = Find(e.job);
  if (job == nullptr || IsTerminal(job->state) || e.attempt != job->attempt || !Cleared(*job)) return;
  if (IsActive(job->state)) {
    CountRunning(*job, -1);
    ChargeJob(state_, *job, at_);
  }
  Unqueue(state_, *job);
  state_.active.erase(job->id);
  state_.lenders.erase(job->id);
  if (state_.live.erase(job->id) > 0) CountLive(state_, *job->spec, -1);
  job->outcome = e.outcome;
  job->state = e.outcome.state;
  job->planned.reset();
  job->ended = at_;
  for (const JobDependency& dependency : job->dependencies) {
    auto dependents = state_.dependents.find(dependency.what.on);
    if (dependents != state_.dependents.end()) dependents->second.erase(job->id);
  }
  auto array = state_.arrays.find(job->array);
  if (array != state_.arrays.end()) {
    ++array->second.ended;
    array->second.failed += job->state == JobState::kCompleted ? 0 : 1;
  }
  Resolve(state_, at_, *job);
  MakeNext(job->array);
}

void Applier::operator()(const JobRequeued& e) {
  Job* job = FindAttempt(e.job, e.attempt);
  if (job == nullptr || job->state != JobState::kCompleting || !Cleared(*job)) return;
  CountRunning(*job, -1);
  ChargeJob(state_, *job, at_);
  state_.active.erase(job->id);
  job->state = JobState::kPending;
  job->outcome.reset();
  job->requeue_wanted = false;
  job->preempted_by.reset();
  job->preempted_at = {};
  job->partition.clear();
  if (job->limit_asked_s > 0) job->time_limit_s = std::exchange(job->limit_asked_s, 0);
  job->lent_to.reset();
  state_.lenders.erase(job->id);
  job->kill_at = {};
  job->eligible = at_;
  Index(state_, *job);
}

void Applier::operator()(const JobUpdated& e) {
  if (Array* array = FindArray(e.job)) return Update(array->pattern, e.update);
  Job* job = Find(e.job);
  if (job == nullptr || IsTerminal(job->state)) return;
  Unqueue(state_, *job);
  Update(*job, e.update);
  if (e.update.requeue && IsActive(job->state)) job->requeue_wanted = true;
  Index(state_, *job);
}

void Applier::operator()(const JobLeased& e) {
  if (state_.jobs.contains(e.job) || state_.arrays.contains(e.job)) state_.leases[e.job] = e.lease_s;
}

void Applier::operator()(const JobSignalled& e) {
  Job* job = FindAttempt(e.job, e.attempt);
  if (job == nullptr || job->state == JobState::kCompleting || job->signalled) return;
  job->signalled = true;
  for (Step& step : job->steps)
    step.signalled =
        step.state != StepState::kEnded && (step.number == kBatchStep) == job->spec->signal.batch_only;
}

void Applier::operator()(const JobsForgotten& e) {
  for (JobId id : e.jobs) {
    Job* job = Find(id);
    if (job == nullptr || !IsTerminal(job->state)) continue;
    auto array = state_.arrays.find(job->array);
    if (array != state_.arrays.end() && --array->second.kept == 0 && array->second.unmade() == 0) {
      state_.dependents.erase(array->first);
      state_.leases.erase(array->first);
      state_.arrays.erase(array);
    }
    state_.dependents.erase(id);
    const std::vector<JobId> whole = state_.ComponentsOf(id);
    state_.jobs.erase(id);
    bool last = std::ranges::none_of(whole, [&](JobId one) { return state_.jobs.contains(one); });
    if (last) state_.leases.erase(whole.empty() ? id : whole.front());
    if (last && !whole.empty()) state_.hets.erase(whole.front());
  }
}

void Applier::Describe(Job& job, JobId id, std::shared_ptr<const JobSpec> spec, JobId array) const {
  job.id = id;
  job.spec = std::move(spec);
  job.array = array;
  job.submitted = at_;
  TakeFromSpec(job, *job.spec);
  job.eligible = std::max(at_, job.begin);
}

void Applier::AddJob(JobId id, std::shared_ptr<const JobSpec> spec, JobId array, std::uint32_t array_task) {
  Job& job = state_.jobs[id];
  Describe(job, id, std::move(spec), array);
  job.array_task = array_task;
  for (const Dependency& dependency : job.spec->dependencies) AddDependency(state_, at_, job, dependency);
  Index(state_, job);
}

void Applier::Update(Job& job, const JobUpdate& update) const {
  if (update.hold) {
    if (*update.hold == Hold::kNone && job.hold != Hold::kNone) job.eligible = at_;
    job.hold = *update.hold;
  }
  if (update.priority) job.base_priority = *update.priority;
  if (update.nice) job.nice = *update.nice;
  if (update.time_limit_s) job.time_limit_s = *update.time_limit_s;
  if (update.begin) job.begin = *update.begin;
  job.eligible = std::max(job.eligible, job.begin);
}

void Applier::MakePrimaryStep(Job& job) {
  Step step;
  step.number = PrimaryStep(*job.spec);
  step.command = PrimaryCommand(job);
  step.created = at_;
  if (job.spec->interactive) {
    step.cores_per_task = job.spec->resources.cores_per_task;
    for (const NodeAllocation& held : job.nodes)
      step.nodes.push_back({held.node, held.first_rank, held.tasks});
  } else {
    step.cores_per_task = job.nodes.front().cores.count();
    step.nodes.push_back({job.nodes.front().node, 0, 1});
  }
  job.steps.push_back(std::move(step));
  job.next_step = job.spec->interactive ? 1 : 0;
}

bool Applier::Cleared(const Job& job) {
  return job.state == JobState::kPending || std::ranges::all_of(job.nodes, &NodeAllocation::released);
}

void Applier::CountRunning(const Job& job, int change) {
  auto array = state_.arrays.find(job.array);
  if (array != state_.arrays.end()) array->second.running += static_cast<std::uint32_t>(change);
}

}  // namespace slipway::scheduler
