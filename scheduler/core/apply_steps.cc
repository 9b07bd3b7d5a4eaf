// SPDX-License-Identifier: Apache-2.0
// Steps, and what nodes report of their parts in them.
#include <algorithm>
#include <tuple>
#include <utility>

#include "scheduler/core/applier.h"

namespace slipway::scheduler {

void Applier::operator()(const StepCreated& e) {
  Job* job = FindAttempt(e.step.job, e.step.attempt);
  if (job == nullptr || job->state == JobState::kCompleting || e.step.step != job->next_step) return;
  Step step;
  step.number = e.step.step;
  step.command = std::make_shared<const Command>(e.command);
  step.cores_per_task = e.cores_per_task;
  step.time_limit_s = e.time_limit_s;
  step.nodes = e.nodes;
  step.created = at_;
  job->steps.push_back(std::move(step));
  ++job->next_step;
}

void Applier::operator()(const StepKillRequested& e) {
  Step* step = FindStep(e.step);
  if (step != nullptr && step->state != StepState::kEnded) step->kill_requested = true;
}

void Applier::operator()(const StepNodeStarted& e) {
  Step* step = FindStep(e.step);
  StepNode* part = FindPart(step, e.node);
  if (part == nullptr || part->state != StepState::kStarting) return;
  part->state = StepState::kRunning;
  part->started = e.started;
  part->timings = Slowest(part->timings, e.timings);
  if (step->state == StepState::kStarting) {
    step->state = StepState::kRunning;
    step->started = at_;
  }
  Job* job = Find(e.step.job);
  if (job->state == JobState::kStarting && step == &job->steps.front()) {
    job->state = JobState::kRunning;
    job->running = at_;
  }
}

void Applier::operator()(const StepNodeEnded& e) {
  Step* step = FindStep(e.step);
  StepNode* part = FindPart(step, e.node);
  if (part == nullptr || part->state == StepState::kEnded) return;
  part->timings = Slowest(part->timings, e.timings);
  End(*step, *part, e.exit_code, e.reason, e.message, e.ended);
}

void Applier::operator()(const StepFactsNoted& e) {
  StepNode* part = FindPart(FindStep(e.step), e.node);
  if (part == nullptr) return;
  StepFacts facts = e.facts;
  if (part->facts) facts.metered = part->facts->metered;
  part->facts = std::make_shared<const StepFacts>(std::move(facts));
}

void Applier::operator()(const StepMeteredNoted& e) {
  StepNode* part = FindPart(FindStep(e.step), e.node);
  if (part == nullptr) return;
  StepFacts facts = part->facts ? *part->facts : StepFacts();
  facts.metered = e.metered;
  part->facts = std::make_shared<const StepFacts>(std::move(facts));
}

Timings Applier::Slowest(const Timings& a, const Timings& b) {
  return {std::max(a.stage_us, b.stage_us), std::max(a.start_us, b.start_us),
          std::max(a.wireup_us, b.wireup_us), std::max(a.run_us, b.run_us)};
}

void Applier::End(Step& step, StepNode& part, std::int32_t exit_code, EndReason reason,
                  const std::string& message, Time ended) {
  part.state = StepState::kEnded;
  part.exit_code = exit_code;
  part.reason = reason;
  part.message = message;
  part.ended = ended;
  if (!std::ranges::all_of(step.nodes, [](const StepNode& n) { return n.state == StepState::kEnded; }))
    return;
  step.state = StepState::kEnded;
  step.ended = at_;
  step.reason = EndReason::kExited;
  // A program's own failure comes before those that our kill caused, whatever the nodes' clocks say.
  auto order = [](const StepNode& n) {
    return std::tuple(n.reason == EndReason::kKilled, n.ended, n.first_rank);
  };
  const StepNode* first = nullptr;
  for (const StepNode& node : step.nodes) {
    step.timings = Slowest(step.timings, node.timings);
    bool failed = node.exit_code != 0 || node.reason != EndReason::kExited;
    if (failed && (first == nullptr || order(node) < order(*first))) first = &node;
  }
  if (first == nullptr) return;
  step.exit_code = first->exit_code;
  step.reason = first->reason;
  step.message = first->message;
}

}  // namespace slipway::scheduler
