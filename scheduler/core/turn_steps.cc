// SPDX-License-Identifier: Apache-2.0
// Steps inside of an allocation: made and ended for its user, told to their nodes.
#include <utility>

#include "scheduler/core/outstanding.h"
#include "scheduler/core/placement.h"
#include "scheduler/core/turn.h"

namespace slipway::scheduler {

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

}  // namespace slipway::scheduler
