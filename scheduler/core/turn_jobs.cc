// SPDX-License-Identifier: Apache-2.0
// The part of the controller's behaviour that is about jobs and steps: what clients ask for, and what
// follows.
#include <algorithm>
#include <utility>

#include "scheduler/core/check_limits.h"
#include "scheduler/core/placement.h"
#include "scheduler/core/turn.h"
#include "scheduler/core/usage.h"

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

// Tasks that differ in what they wait for, or have to be watched, are jobs at once.
std::uint32_t WindowOf(const JobSpec& spec, std::uint32_t window) {
  bool alike = std::ranges::find(spec.dependencies, DependencyKind::kAfterCorr, &Dependency::kind) ==
               spec.dependencies.end();
  return spec.array && alike && spec.deadline.us == 0 ? window : 0;
}

bool HasFailedPart(const Step& step) {
  return std::ranges::any_of(step.nodes, [](const StepNode& part) {
    return part.state == StepState::kEnded && (part.exit_code != 0 || part.reason != EndReason::kExited);
  });
}

}  // namespace

Result<> Controller::Turn::Admit(JobSpec& spec) const {
  TRY(CheckSubmit(spec));
  TRY(CheckDependencies(state(), spec));
  TRY(CompleteSpec(c_.site(), state(), spec));
  auto tasks = static_cast<std::uint32_t>(spec.array ? spec.array->indices.size() : 1);
  if (spec.deadline.us != 0 &&
      (spec.time_limit_s == 0 || spec.deadline < now_.PlusSeconds(spec.time_limit_s)))
    return Fail(Code::kFailedPrecondition, "DeadLine: a job with a limit of ", spec.time_limit_s,
                " s that is started now does not surely end by its deadline; ask for less time");
  TRY(CheckJobLimits(c_.site(), state(), spec, spec.time_limit_s));
  TRY(CheckSubmitLimits(c_.site(), state(), spec, tasks));
  return c_.policy_->CheckFits(state(), spec);
}

void Controller::Turn::operator()(const SubmitJob& input) {
  if (!input.others.empty()) return SubmitComponents(input);
  JobSpec spec = input.spec;
  auto tasks = static_cast<std::uint32_t>(spec.array ? spec.array->indices.size() : 1);
  Result<> allowed = Admit(spec);
  if (!allowed) return Answer(input.client, Failure(allowed.error()));
  JobId id = state().next_job;
  std::uint32_t window = WindowOf(spec, c_.options_.array_window);
  Record(JobSubmitted{id, std::move(spec), window});
  c_.pass_wanted_ = true;
  Answer(input.client, JobAccepted{id, tasks});
}

Result<const Job*> Controller::Turn::JobForChange(JobId id, const Requester& by) const {
  const Job* job = state().FindJob(id);
  if (job == nullptr) {
    const Array* array = state().ArrayOf(id);
    if (array != nullptr && by.uid != array->spec->user.uid && !by.admin)
      return Fail(Code::kPermissionDenied, "job ", array->id.value, " belongs to ", array->spec->user.name);
    return Fail(Code::kNotFound, "there is no job ", id.value);
  }
  if (by.uid != job->spec->user.uid && !by.admin) {
    return Fail(Code::kPermissionDenied, "job ", JobName(*job), " belongs to ", job->spec->user.name);
  }
  return job;
}

void Controller::Turn::MakeTask(JobId id, const Requester& by) {
  const Array* array = state().ArrayOf(id);
  if (array == nullptr || array->cancelled || !(by.admin || by.uid == array->spec->user.uid)) return;
  auto task = static_cast<std::uint32_t>(id.value - array->first_task.value);
  if (!array->IsMade(task)) Record(ArrayTaskMade{array->id, task});
}

std::vector<JobId> Controller::Turn::TasksMeant(JobId id) const {
  auto array = state().arrays.find(id);
  if (array == state().arrays.end()) {
    std::vector<JobId> whole = state().ComponentsOf(id);
    return whole.empty() ? std::vector<JobId>{id} : whole;
  }
  std::vector<JobId> ids;
  JobId end = array->second.TaskId(array->second.tasks);
  for (auto at = state().live.lower_bound(array->second.first_task); at != state().live.end() && *at < end;
       ++at)
    ids.push_back(*at);
  return ids;
}

void Controller::Turn::operator()(const CancelJob& input) {
  MakeTask(input.job, input.by);
  std::vector<JobId> ids = TasksMeant(input.job);
  if (ids.empty()) return Answer(input.client, Done{});
  for (JobId id : ids) {
    Result<const Job*> job = JobForChange(id, input.by);
    if (!job) return Answer(input.client, Failure(job.error()));
    if ((*job)->state > JobState::kCompleting && (*job)->state != JobState::kCancelled) {
      return Answer(input.client, Fail(Code::kFailedPrecondition, "job ", JobName(**job),
                                       " has ended already: ", JobStateName((*job)->state)));
    }
  }
  // First those that are no jobs: else each end would make another one.
  if (state().unmade.contains(input.job)) Record(ArrayCancelled{input.job, input.by.uid});
  for (JobId id : ids) Cancel(*state().FindJob(id), input.by.uid);
  Answer(input.client, Done{});
}

void Controller::Turn::Cancel(const Job& job, std::uint32_t uid) {
  if (IsTerminal(job.state) || job.cancelled_by) return;
  Record(JobCancelRequested{job.id, uid});
  Advance(job.id);
}

void Controller::Turn::operator()(const CreateStep& input) {
  auto make = [&]() -> Result<StepId> {
    const Job* job = TRY(JobForChange(input.job, {input.by.uid, false}));
    if (job->state != JobState::kStarting && job->state != JobState::kRunning) {
      return Fail(Code::kFailedPrecondition, "job ", JobName(*job), " is ", JobStateName(job->state),
                  ": steps need a running one");
    }
    if (job->suspended())
      return Fail(Code::kFailedPrecondition, "job ", JobName(*job),
                  " is SUSPENDED: steps need one that goes on");
    if (input.command.argv.empty()) return Fail(Code::kInvalidArgument, "no command to run");
    std::vector<StepNode> nodes = TRY(PlaceStep(*job, input.resources));
    StepId id{job->id, job->attempt, job->next_step};
    Record(
        StepCreated{id, input.command, input.resources.cores_per_task, input.time_limit_s, std::move(nodes)});
    LaunchParts(*job, *job->FindStep(id.step));
    return id;
  };
  Result<StepId> made = make();
  if (!made) return Answer(input.client, Failure(made.error()));
  Answer(input.client, StepAccepted{*made});
}

void Controller::Turn::operator()(const CancelStep& input) {
  Result<const Job*> job = JobForChange(input.step.job, input.by);
  if (!job) return Answer(input.client, Failure(job.error()));
  bool present = input.step.attempt == 0 || input.step.attempt == (*job)->attempt;
  const Step* step = present ? (*job)->FindStep(input.step.step) : nullptr;
  if (step == nullptr)
    return Answer(input.client, Fail(Code::kNotFound, "there is no step ", ToString(input.step)));
  KillStepParts(**job, *step);
  Answer(input.client, Done{});
}

void Controller::Turn::LaunchParts(const Job& job, const Step& step) {
  for (std::uint32_t i = 0; i < step.nodes.size(); ++i) {
    Say(step.nodes[i].node, MakeLaunch(state(), job, step, i, now_));
  }
}

void Controller::Turn::KillStepParts(const Job& job, const Step& step) {
  if (step.state == StepState::kEnded || step.kill_requested || !IsActive(job.state)) return;
  StepId id{job.id, job.attempt, step.number};
  Record(StepKillRequested{id});
  for (const StepNode& part : step.nodes) {
    if (part.state != StepState::kEnded) Say(part.node, KillStep{id});
  }
}

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

void Controller::Turn::ForgetOld() {
  JobsForgotten old;
  while (!c_.ended_.empty()) {
    auto [at, id] = *c_.ended_.begin();
    if (c_.ended_.size() <= c_.options_.keep_ended_jobs && now_ < at.PlusSeconds(c_.options_.keep_ended_s))
      break;
    c_.ended_.erase(c_.ended_.begin());
    old.jobs.push_back(id);
  }
  if (!old.jobs.empty()) Record(std::move(old));
}

void Controller::Turn::RunPass() {
  c_.pass_wanted_ = false;
  ResumeLenders();
  Plan plan = c_.policy_->Decide(state(), now_);
  // Before the starts: some of these take over what the suspended lend.
  for (const Preemption& preemption : plan.preempt) {
    if (preemption.mode == PreemptMode::kSuspend) Preempt(preemption);
  }
  std::vector<JobId> started;  // told to nodes once all have their nodes: they may name one another's
  for (Start& start : plan.starts) {
    JobId id = start.job;
    const Qos* qos = c_.site().FindQos(state().FindJob(id)->spec->qos);
    std::uint64_t billing = BillingOf(c_.site().usage, start.nodes, qos == nullptr ? 1000 : qos->usage_milli);
    Record(JobStarted{id, start.attempt, std::move(start.nodes), billing, std::move(start.partition),
                      start.time_limit_s});
    const Job& job = *state().FindJob(id);
    CHECK(job.state == JobState::kStarting || job.state == JobState::kRunning);
    if (!job.steps.empty()) started.push_back(id);
  }
  for (JobId id : started) LaunchParts(*state().FindJob(id), state().FindJob(id)->steps.front());
  for (const Preemption& preemption : plan.preempt) {
    if (preemption.mode != PreemptMode::kSuspend) Preempt(preemption);
  }
  for (const PrefetchHint& hint : plan.prefetch) {
    if (c_.prefetch_sent_.insert(hint).second) Say(hint.node, Prefetch{hint.digest});
  }
  c_.next_pass_ = plan.next;
  RecordPromises();
}

// What jobs are promised outlives the controller.
void Controller::Turn::RecordPromises() {
  std::set<JobId> before = std::exchange(c_.promised_, {});
  for (auto& [id, planned] : c_.policy_->PlannedStarts()) {
    c_.promised_.insert(id);
    before.erase(id);
    const Job* job = state().FindJob(id);
    if (job != nullptr && job->planned != planned) Record(StartPlanned{id, std::move(planned)});
  }
  for (JobId id : before) {
    const Job* job = state().FindJob(id);
    if (job != nullptr && job->planned) Record(StartPlanned{id, {}});
  }
}

}  // namespace slipway::scheduler
