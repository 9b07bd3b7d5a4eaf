// SPDX-License-Identifier: Apache-2.0
// What follows for a job from its state: the end of its first step ends it, its nodes' release lets it go or
// run again, its time limit is over.
#include <algorithm>
#include <utility>

#include "scheduler/core/turn.h"

namespace slipway::scheduler {
namespace {

constexpr std::int32_t kCancelledExit = 143;  // as after SIGTERM
constexpr std::uint32_t kUnfitAttemptsMax = 3;

Outcome OutcomeOf(const Step& primary) {
  Outcome outcome{JobState::kFailed, primary.exit_code, primary.reason, primary.message};
  switch (primary.reason) {
    case EndReason::kExited:
      if (primary.exit_code == 0) outcome.state = JobState::kCompleted;
      break;
    case EndReason::kTimeLimit:
      outcome.state = JobState::kTimeout;
      break;
    case EndReason::kKilled:
    case EndReason::kCancelled:
      outcome.state = JobState::kCancelled;
      break;
    case EndReason::kNodeFailed:
    case EndReason::kLost:
    case EndReason::kNodeUnfit:
      outcome.state = JobState::kNodeFail;
      break;
    case EndReason::kNone:
    case EndReason::kOutOfMemory:
    case EndReason::kLaunchFailed:
      break;
  }
  return outcome;
}

bool HasFailedPart(const Step& step) {
  return std::ranges::any_of(step.nodes, [](const StepNode& part) {
    return part.state == StepState::kEnded && (part.exit_code != 0 || part.reason != EndReason::kExited);
  });
}

}  // namespace

void Controller::Turn::Advance(JobId id) {
  for (;;) {
    const Job* job = state().FindJob(id);
    if (job != nullptr && !IsTerminal(job->state) && AdvanceOnce(*job)) continue;
    if (follow_.empty()) return;
    id = follow_.back();
    follow_.pop_back();
  }
}

bool Controller::Turn::AdvanceOnce(const Job& job) {
  Outcome cancelled{JobState::kCancelled, kCancelledExit, EndReason::kCancelled, ""};
  if (job.state == JobState::kPending) {
    if (!job.cancelled_by) return false;
    Record(JobEnded{job.id, job.attempt, cancelled});
    c_.pass_wanted_ = true;  // others may have waited for it, or for what was planned for it
    return true;
  }
  if (job.state == JobState::kCompleting) {
    if (!std::ranges::all_of(job.nodes, &NodeAllocation::released)) return false;
    bool unfit = job.outcome->reason == EndReason::kNodeUnfit;  // nothing of it ran: no harm in once more
    bool lost =
        job.outcome->state == JobState::kNodeFail && (job.spec->requeue || unfit) && !job.spec->interactive;
    // Who had to go, but had ended by itself already, is not run a second time.
    bool went = !job.preempted_by || job.outcome->state == JobState::kPreempted;
    bool again = (lost || (job.requeue_wanted && went)) && !job.cancelled_by;
    if (again) {
      std::uint32_t attempts = job.attempt;
      Record(JobRequeued{job.id, attempts});
      // Perhaps it is the job that makes nodes unfit: it shall not drain them all.
      if (unfit && attempts >= kUnfitAttemptsMax) Record(JobUpdated{job.id, 0, {.hold = Hold::kAdmin}});
    } else {
      Record(JobEnded{job.id, job.attempt, *job.outcome});
    }
    c_.pass_wanted_ = true;
    return !again;
  }
  const Step* primary = PrimaryStepOf(job);
  if (primary != nullptr && primary->state == StepState::kEnded && !WaitsForOthers(job, *primary)) {
    Outcome outcome = job.cancelled_by ? cancelled : OutcomeOfWhole(job, *primary);
    if (!job.cancelled_by && job.preempted_by && primary->reason == EndReason::kKilled)
      outcome = {JobState::kPreempted, kCancelledExit, EndReason::kKilled,
                 Cat("preempted by job ", job.preempted_by->value)};
    Complete(job, std::move(outcome));
    return true;
  }
  if (job.cancelled_by) {
    Complete(job, cancelled);
    return true;
  }
  for (const Step& step : job.steps) {
    bool ends = step.state != StepState::kEnded && !step.kill_requested && step.command->kill_on_bad_exit;
    if (ends && HasFailedPart(step)) {
      KillStepParts(job, step);
      return true;
    }
  }
  return false;
}

void Controller::Turn::Complete(const Job& job, Outcome outcome) {
  std::vector<JobId> whole = state().ComponentsOf(job.id);
  if (whole.empty()) whole = {job.id};
  for (JobId id : whole) {
    const Job* one = state().FindJob(id);
    if (one == nullptr || !IsActive(one->state) || one->state == JobState::kCompleting) continue;
    Record(JobCompleting{id, one->attempt, outcome});
    for (const NodeAllocation& held : one->nodes) {
      if (!held.released) Say(held.node, EndJob{id, one->attempt});
    }
    if (id != job.id) follow_.push_back(id);
  }
}

// Of the programs of a heterogeneous launch, which have all ended: the first failure.
Outcome Controller::Turn::OutcomeOfWhole(const Job& job, const Step& primary) const {
  Outcome outcome = OutcomeOf(primary);
  const std::vector<JobId> whole = state().ComponentsOf(job.id);
  for (JobId id : whole) {
    const Step* step = PrimaryStepOf(*state().FindJob(id));
    if (outcome.state != JobState::kCompleted || step == nullptr || step->state != StepState::kEnded)
      continue;
    outcome = OutcomeOf(*step);
  }
  return outcome;
}

void Controller::Turn::EndOverdue() {
  while (!c_.deadlines_.empty() && c_.deadlines_.begin()->first <= now_) {
    const Job* job = state().FindJob(c_.deadlines_.begin()->second);
    c_.deadlines_.erase(c_.deadlines_.begin());
    if (job == nullptr || (job->state != JobState::kStarting && job->state != JobState::kRunning)) continue;
    // An entry of an earlier attempt, or of before it stood still: going on makes another one.
    if (job->suspended() || now_ < job->LimitAt(now_)) continue;
    Complete(*job, {JobState::kTimeout, kCancelledExit, EndReason::kTimeLimit,
                    Cat("ran for its limit of ", job->time_limit_s, " s")});
    Advance(job->id);
  }
}

}  // namespace slipway::scheduler
