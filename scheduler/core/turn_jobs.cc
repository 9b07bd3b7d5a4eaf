// SPDX-License-Identifier: Apache-2.0
// What clients ask about jobs: they are submitted, cancelled, and forgotten long after their end.
#include <utility>

#include "scheduler/core/check_limits.h"
#include "scheduler/core/placement.h"
#include "scheduler/core/turn.h"

namespace slipway::scheduler {
namespace {

// Tasks that differ in what they wait for, or have to be watched, are jobs at once.
std::uint32_t WindowOf(const JobSpec& spec, std::uint32_t window) {
  bool alike = std::ranges::find(spec.dependencies, DependencyKind::kAfterCorr, &Dependency::kind) ==
               spec.dependencies.end();
  return spec.array && alike && spec.deadline.us == 0 ? window : 0;
}

Result<> CheckDeadline(const JobSpec& spec, Time now) {
  auto refuse = [](const auto&... why) { return Fail(Code::kFailedPrecondition, "DeadLine: ", why...); };
  if (spec.deadline.us == 0) return {};
  if (spec.deadline <= now) return refuse("the deadline is over already; give a later one");
  if (spec.time_limit_s == 0)
    return refuse("a job without a time limit does not surely end by its deadline; give one with --time");
  if (spec.deadline < now.PlusSeconds(spec.time_limit_s))
    return refuse("a job with a limit of ", spec.time_limit_s,
                  " s that is started now does not surely end by its deadline; ask for less time");
  return {};
}

}  // namespace

Result<> Controller::Turn::Admit(JobSpec& spec) const {
  TRY(CheckSubmit(spec));
  TRY(CheckDependencies(state(), spec));
  TRY(CompleteSpec(c_.site(), state(), spec));
  auto tasks = static_cast<std::uint32_t>(spec.array ? spec.array->indices.size() : 1);
  TRY(CheckDeadline(spec, now_));
  TRY(CheckJobLimits(c_.site(), state(), spec, spec.time_limit_s));
  TRY(CheckSubmitLimits(c_.site(), state(), spec, tasks));
  return c_.policy_->CheckFits(state(), spec);
}

void Controller::Turn::operator()(const SubmitJob& input) {
  if (!input.others.empty()) return SubmitComponents(input);
  JobSpec spec = input.spec;
  auto tasks = static_cast<std::uint32_t>(spec.array ? spec.array->indices.size() : 1);
  Result<> allowed = CheckLease(input.lease_s);
  if (allowed) allowed = Admit(spec);
  if (!allowed) return Answer(input.client, Failure(allowed.error()));
  JobId id = state().next_job;
  std::uint32_t window = WindowOf(spec, c_.options_.array_window);
  Record(JobSubmitted{id, std::move(spec), window});
  if (input.lease_s != 0) Record(JobLeased{id, input.lease_s});
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

}  // namespace slipway::scheduler
