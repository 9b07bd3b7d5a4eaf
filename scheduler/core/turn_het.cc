// SPDX-License-Identifier: Apache-2.0
// Heterogeneous jobs: several requests, one job. Its components are submitted, started and ended together,
// and have one outcome; turn_ends.cc ends all where it ends one.
#include <algorithm>

#include "scheduler/core/check_limits.h"
#include "scheduler/core/placement.h"
#include "scheduler/core/turn.h"

namespace slipway::scheduler {
namespace {

template <class... Why>
Failure Refuse(const Why&... why) {
  return Fail(Code::kInvalidArgument, "a heterogeneous job: ", why...);
}

// What belongs to the whole job is the first component's.
JobSpec WithTheFirsts(JobSpec spec, const JobSpec& first) {
  spec.user = first.user;
  spec.priority = first.priority;
  spec.nice = first.nice;
  spec.begin = first.begin;
  spec.deadline = first.deadline;
  spec.hold = first.hold;
  spec.requeue = first.requeue;
  if (!spec.interactive) spec.command.script = first.command.script;
  return spec;
}

Result<> CheckComponent(const JobSpec& spec, const JobSpec& first, std::size_t number) {
  if (spec.array) return Refuse("--array does not go with it");
  if (number > 0 && !spec.dependencies.empty())
    return Refuse("dependencies belong to the whole job: give them with the first component");
  if (spec.interactive != first.interactive) return Refuse("a launch and a batch script in one");
  if (spec.time_min_s > 0) return Refuse("all start with all of their time: --time-min does not go with it");
  if (spec.resources.switches > 0) return Refuse("--switches does not go with it");
  return {};
}

}  // namespace

Result<std::vector<JobSpec>> Controller::Turn::CompleteComponents(const SubmitJob& input) const {
  TRY(CheckLease(input.lease_s));
  std::vector<JobSpec> components{input.spec};
  for (const JobSpec& other : input.others) components.push_back(WithTheFirsts(other, input.spec));
  if (components.size() > kHetComponentsMax) return Refuse("more than ", kHetComponentsMax, " components");
  for (std::size_t i = 0; i < components.size(); ++i) {
    JobSpec& spec = components[i];
    auto check = [&]() -> Result<> {
      TRY(CheckComponent(spec, input.spec, i));
      TRY(CheckSubmit(spec));
      TRY(CheckDependencies(state(), spec));
      TRY(CompleteSpec(c_.site(), state(), spec));
      if (spec.deadline.us != 0 &&
          (spec.time_limit_s == 0 || spec.deadline < now_.PlusSeconds(spec.time_limit_s)))
        return Fail(Code::kFailedPrecondition, "DeadLine: with a limit of ", spec.time_limit_s,
                    " s it does not surely end by its deadline, started now; ask for less time");
      TRY(CheckJobLimits(c_.site(), state(), spec, spec.time_limit_s));
      return c_.policy_->CheckFits(state(), spec);
    };
    TRY_CONTEXT(check(), Cat("component ", i));
    if (i > 0) spec.command.script.clear();  // it runs on the first
  }
  TRY(CheckSumLimits(c_.site(), state(), components));
  // Of those in the same account and QOS all count.
  for (const JobSpec& spec : components)
    TRY(CheckSubmitLimits(c_.site(), state(), spec, static_cast<std::uint32_t>(components.size())));
  TRY(c_.policy_->CheckFitTogether(state(), components));
  return components;
}

void Controller::Turn::SubmitComponents(const SubmitJob& input) {
  Result<std::vector<JobSpec>> components = CompleteComponents(input);
  if (!components) return Answer(input.client, Failure(components.error()));
  JobId leader = state().next_job;
  Record(HetJobSubmitted{leader, std::move(*components)});
  if (input.lease_s != 0) Record(JobLeased{leader, input.lease_s});
  c_.pass_wanted_ = true;
  Answer(input.client, JobAccepted{leader, 1});
}

const Step* Controller::Turn::PrimaryStepOf(const Job& job) const {
  bool none = job.steps.empty() || (!job.spec->interactive && state().FollowsLeader(job.id));
  return none ? nullptr : &job.steps.front();
}

bool Controller::Turn::WaitsForOthers(const Job& job, const Step& primary) const {
  bool failed = primary.exit_code != 0 || primary.reason != EndReason::kExited;
  if (failed && primary.command->kill_on_bad_exit) return false;
  const std::vector<JobId> whole = state().ComponentsOf(job.id);
  return std::ranges::any_of(whole, [&](JobId id) {
    const Job& other = *state().FindJob(id);
    const Step* step = PrimaryStepOf(other);
    return id != job.id && step != nullptr && IsActive(other.state) && step->state != StepState::kEnded;
  });
}

}  // namespace slipway::scheduler
