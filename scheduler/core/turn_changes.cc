// SPDX-License-Identifier: Apache-2.0
// Changes of a job after its submission: hold and release, priority, limits, and running it again.
#include "scheduler/core/turn.h"

namespace slipway::scheduler {
namespace {

constexpr std::int32_t kRequeuedExit = 143;  // as after SIGTERM

}  // namespace

Result<> Controller::Turn::MayChange(const Job& job, const ChangeJob& input) const {
  const JobUpdate& update = input.update;
  auto refuse = [&](Code code, const auto&... why) { return Fail(code, "job ", JobName(job), why...); };
  if (IsTerminal(job.state))
    return refuse(Code::kFailedPrecondition, " has ended already: ", JobStateName(job.state));
  bool pending = job.state == JobState::kPending;
  auto length = [](std::uint32_t limit_s) { return limit_s == 0 ? UINT64_MAX : limit_s; };  // 0: none
  bool longer = update.time_limit_s && length(*update.time_limit_s) > length(job.time_limit_s);
  if (!input.by.admin) {
    bool raises =
        (update.nice && *update.nice < job.nice) || (update.priority && *update.priority > job.base_priority);
    if (raises) return refuse(Code::kPermissionDenied, ": raising the priority is for administrators");
    if (update.hold && job.hold == Hold::kAdmin)
      return refuse(Code::kPermissionDenied, " is held by an administrator; ask one to release it");
    if (longer) return refuse(Code::kPermissionDenied, ": a longer time limit is for administrators");
  }
  if (!pending && (update.hold || update.begin))
    return refuse(Code::kFailedPrecondition, " is ", JobStateName(job.state),
                  ": only a pending one can be held or put off");
  if (!pending && longer)
    return refuse(Code::kFailedPrecondition, " runs already: its nodes keep the limit that it started with");
  if (update.requeue && pending) return refuse(Code::kFailedPrecondition, " is pending already");
  if (update.requeue && job.spec->interactive)
    return refuse(Code::kFailedPrecondition, " is a launch: there is nothing to run again");
  return {};
}

// What is as it was asked to be keeps its place in the plan, and what was promised there.
static bool Changes(const Job& job, const JobUpdate& update) {
  return update.requeue || update.hold.value_or(job.hold) != job.hold ||
         update.priority.value_or(job.base_priority) != job.base_priority ||
         update.nice.value_or(job.nice) != job.nice ||
         update.time_limit_s.value_or(job.time_limit_s) != job.time_limit_s ||
         update.begin.value_or(job.begin) != job.begin;
}

void Controller::Turn::operator()(const ChangeJob& input) {
  MakeTask(input.job, input.by);
  std::vector<JobId> ids = TasksMeant(input.job);
  // A time limit is that of the component that is named.
  bool component = !state().ComponentsOf(input.job).empty() && input.update.time_limit_s;
  if (component) ids = {input.job};
  for (JobId id : ids) {
    Result<const Job*> job = JobForChange(id, input.by);
    if (!job) return Answer(input.client, Failure(job.error()));
    Result<> may = MayChange(**job, input);
    if (!may) return Answer(input.client, Failure(may.error()));
  }
  if (state().unmade.contains(input.job)) {
    Result<> may = MayChange(state().arrays.at(input.job).pattern, input);
    if (!may) return Answer(input.client, Failure(may.error()));
    Record(JobUpdated{input.job, input.by.uid, input.update});
  }
  for (JobId id : ids) {
    if (Changes(*state().FindJob(id), input.update)) Record(JobUpdated{id, input.by.uid, input.update});
  }
  for (JobId id : ids) {
    const Job& job = *state().FindJob(id);
    if (input.update.time_limit_s && IsActive(job.state) && job.time_limit_s > 0)
      c_.deadlines_.insert({job.started.PlusSeconds(job.time_limit_s), id});
    if (input.update.requeue && (job.state == JobState::kStarting || job.state == JobState::kRunning)) {
      Complete(job, {JobState::kCancelled, kRequeuedExit, EndReason::kCancelled, "is to run again"});
      Advance(id);
    }
  }
  c_.pass_wanted_ = true;
  Answer(input.client, Done{});
}

}  // namespace slipway::scheduler
