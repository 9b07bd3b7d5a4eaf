// SPDX-License-Identifier: Apache-2.0
// Jobs that stand still and go on, and jobs that have to go for others: at once, after a grace, or only for
// as long as the other one runs.
#include <algorithm>

#include "scheduler/core/turn.h"

namespace slipway::scheduler {

void Controller::Turn::SaySuspended(const Job& job) {
  for (const Step& step : job.steps) {
    for (const StepNode& part : step.nodes) {
      if (part.state == StepState::kEnded) continue;
      Say(part.node, SuspendStep{{job.id, job.attempt, step.number}, job.suspended()});
    }
  }
}

void Controller::Turn::operator()(const SuspendJob& input) {
  auto may = [&](const Job& job) -> Result<> {
    auto refuse = [&](const auto&... why) {
      return Fail(Code::kFailedPrecondition, "job ", JobName(job), why...);
    };
    if (!input.by.admin)
      return Fail(Code::kPermissionDenied, "job ", JobName(job),
                  ": suspending and resuming is for administrators; hold it or requeue it");
    if (job.state != JobState::kRunning)
      return refuse(" is ", JobStateName(job.state), ": only one that runs can stand still");
    if (input.suspended && !job.AllStarted()) return refuse(" has steps that are being started; try again");
    if (input.suspended && job.preempted_by) return refuse(" has to go for another one already");
    if (input.suspended && job.suspended()) return refuse(" stands still already");
    if (!input.suspended && !job.suspended()) return refuse(" does not stand still");
    if (!input.suspended && job.lent_to)
      return refuse(" has lent its cores to job ", job.lent_to->value,
                    "; it goes on when that one has ended");
    return {};
  };
  std::vector<JobId> ids = TasksMeant(input.job);
  bool array = state().arrays.contains(input.job);
  std::size_t changed = 0;
  if (const std::vector<JobId> whole = state().ComponentsOf(input.job); !whole.empty()) {
    for (JobId id : whole) {
      Result<const Job*> job = JobForChange(id, input.by);
      Result<> allowed = job ? may(**job) : Result<>(Failure(job.error()));
      if (!allowed) return Answer(input.client, Failure(allowed.error()));
    }
  }
  for (JobId id : ids) {
    Result<const Job*> job = JobForChange(id, input.by);
    if (!job) return Answer(input.client, Failure(job.error()));
    Result<> allowed = may(**job);
    if (!allowed && array && input.by.admin) continue;  // a task that does not run is not meant
    if (!allowed) return Answer(input.client, Failure(allowed.error()));
    const std::uint32_t attempt = (*job)->attempt;
    input.suspended ? Record(JobSuspended{id, attempt, {}, input.by.uid}) : Record(JobResumed{id, attempt});
    const Job& now = *state().FindJob(id);
    SaySuspended(now);
    if (!now.suspended() && now.time_limit_s > 0) c_.deadlines_.insert({now.LimitAt(now_), id});
    ++changed;
  }
  if (changed == 0)
    return Answer(input.client, Fail(Code::kFailedPrecondition, "no task of array ", input.job.value,
                                     input.suspended ? " runs" : " stands still"));
  c_.pass_wanted_ = true;
  Answer(input.client, Done{});
}

void Controller::Turn::ResumeLenders() {
  const std::set<JobId> lenders = state().lenders;
  for (JobId id : lenders) {
    const Job& job = *state().FindJob(id);
    if (job.state != JobState::kRunning) continue;
    const Job* borrower = state().FindJob(*job.lent_to);
    if (borrower != nullptr && IsActive(borrower->state)) continue;
    bool free = std::ranges::all_of(job.nodes, [&](const NodeAllocation& held) {
      return held.released || !state().FindNode(held.node)->cores_allotted.Intersects(held.cores);
    });
    if (!free) continue;
    Record(JobResumed{id, job.attempt});
    const Job& now = *state().FindJob(id);
    SaySuspended(now);
    if (now.time_limit_s > 0) c_.deadlines_.insert({now.LimitAt(now_), id});
  }
}

void Controller::Turn::Preempt(const Preemption& preemption) {
  const Job& victim = *state().FindJob(preemption.victim);
  if (preemption.mode == PreemptMode::kSuspend) {
    Record(JobSuspended{preemption.victim, preemption.attempt, preemption.by, 0});
    return SaySuspended(victim);
  }
  Time kill_at = preemption.grace_s > 0 ? now_.PlusSeconds(preemption.grace_s) : Time{};
  bool requeue = preemption.mode == PreemptMode::kRequeue;
  Record(JobPreempted{preemption.victim, preemption.attempt, preemption.by, requeue, kill_at});
  if (kill_at.us != 0) {
    c_.kill_at_.insert({kill_at, preemption.victim});
    for (const Step& step : victim.steps) {
      for (const StepNode& part : step.nodes) {
        if (part.state != StepState::kEnded)
          Say(part.node, WarnStep{{victim.id, victim.attempt, step.number}});
      }
    }
    return;
  }
  for (const Step& step : victim.steps) KillStepParts(victim, step);
  Advance(preemption.victim);
}

void Controller::Turn::EndPreempted() {
  while (!c_.kill_at_.empty() && c_.kill_at_.begin()->first <= now_) {
    JobId id = c_.kill_at_.begin()->second;
    c_.kill_at_.erase(c_.kill_at_.begin());
    const Job* job = state().FindJob(id);
    bool due = job != nullptr && IsActive(job->state) && job->preempted_by && job->kill_at <= now_;
    if (!due) continue;
    for (const Step& step : job->steps) KillStepParts(*job, step);
    Advance(id);
  }
}

}  // namespace slipway::scheduler
