// SPDX-License-Identifier: Apache-2.0
// The part of the controller's behaviour that is about nodes: what they report, and what their silence, their
// return and their reboot mean for what runs there.
#include <algorithm>

#include "scheduler/core/lease.h"
#include "scheduler/core/turn.h"

namespace slipway::scheduler {
namespace {

constexpr std::int32_t kOurFailureExit = 125;
constexpr std::uint32_t kCoresPerNodeMax = 65'536;

}  // namespace

void Controller::Turn::operator()(const StepReport& input) {
  // Apply looks whether a report still counts; asking first keeps late and duplicate ones out of the log.
  const Job* job = state().FindJob(input.step.job);
  const Step* step = nullptr;
  if (job != nullptr && IsActive(job->state) && job->attempt == input.step.attempt)
    step = job->FindStep(input.step.step);
  if (step != nullptr) {
    auto part = std::ranges::find(step->nodes, input.node, &StepNode::node);
    bool counts = part != step->nodes.end() && part->state != StepState::kEnded;
    if (counts) NoteFacts(input, part->facts ? *part->facts : StepFacts());
    if (counts && input.kind == ReportKind::kEnded) {
      EndReason reason = input.reason == EndReason::kNone ? EndReason::kExited : input.reason;
      Record(StepNodeEnded{input.step, input.node, input.exit_code, reason, input.message, input.at,
                           input.timings});
      CountFailure(input.step, input.node, input.exit_code, reason);
      Advance(input.step.job);
    } else if (counts && part->state == StepState::kStarting) {
      Record(StepNodeStarted{input.step, input.node, input.at, input.timings});
      if (step->signalled && !step->kill_requested) Say(input.node, MakeSignal(*job, *step));
    }
  }
  said_.emplace_back(Send{input.node, input.session, AckReport{input.seq}});
}

void Controller::Turn::NoteFacts(const StepReport& input, const StepFacts& known) {
  // Not known at the step's start, and no reason to forget it later.
  const StepMetered metered = input.facts.metered == StepMetered() ? known.metered : input.facts.metered;
  const bool other = input.facts.usage != known.usage || input.facts.binding != known.binding,
             metered_anew = metered != known.metered;  // `known` goes with the first record
  if (other) Record(StepFactsNoted{input.step, input.node, input.facts});
  if (metered_anew) Record(StepMeteredNoted{input.step, input.node, metered});
}

void Controller::Turn::CountFailure(const StepId& step, const std::string& name, std::int32_t exit_code,
                                    EndReason reason) {
  const Node* node = state().FindNode(name);
  std::uint32_t uid = state().FindJob(step.job)->spec->user.uid, users = c_.options_.drain_after_users;
  if (!c_.failures_.Ended(name, uid, exit_code, reason, users) || node->drained) return;
  Record(NodeDrained{
      name, Cat("jobs of ", users, " users in a row could not run here, the last was job ", step.job.value)});
  c_.pass_wanted_ = true;
}

void Controller::Turn::operator()(const JobReleased& input) {
  const Job* job = state().FindJob(input.job);
  // Only an answer counts: before EndJob nobody can know that nothing more will start there.
  if (job == nullptr || job->state != JobState::kCompleting || job->attempt != input.attempt) return;
  const NodeAllocation* held = job->FindNode(input.node);
  if (held == nullptr || held->released) return;
  Record(NodeReleased{input.job, input.attempt, input.node});
  c_.pass_wanted_ = true;
  Advance(input.job);
}

void Controller::Turn::operator()(const RegisterNode& input) {
  Connection& connection = c_.connections_[input.node];
  if (input.session <= connection.session && connection.session != 0) return;  // overtaken by a later stream
  connection = {input.session, false};
  const Node* known = state().FindNode(input.node);
  if (known != nullptr && known->boot_id != input.boot_id)
    FailNode(input.node, Cat("node ", input.node, " was rebooted"));
  NodeFacts facts = input.facts;
  facts.cores = std::min(facts.cores, kCoresPerNodeMax);
  Record(NodeRegistered{input.node, std::move(facts), input.boot_id, input.address, input.images});
  connection.open = true;
  c_.pass_wanted_ = true;
  std::erase_if(c_.prefetch_sent_, [&](const PrefetchHint& hint) { return hint.node == input.node; });
  Say(input.node, Registered{state().epoch, state().oldest_live_job()});
  FindLostSteps(input);
  EndUnwanted(input);
  SendOutstanding(input.node);
}

namespace {

// What is on that node is only steps whose ranks go on without those that die, and each has ranks elsewhere.
bool GoesOnWithout(const Job& job, const std::string& node) {
  bool any = false;
  for (const Step& step : job.steps) {
    auto live = [](const StepNode& part) { return part.state != StepState::kEnded; };
    auto here = std::ranges::find(step.nodes, node, &StepNode::node);
    if (here == step.nodes.end() || !live(*here)) continue;
    if (step.command->kill_on_bad_exit || step.kill_requested) return false;
    if (std::ranges::count_if(step.nodes, live) < 2) return false;
    any = true;
  }
  return any && !job.cancelled_by && !job.suspended();
}

}  // namespace

void Controller::Turn::FailNode(const std::string& node, const std::string& message) {
  const std::set<JobId> jobs = state().FindNode(node)->jobs;
  for (JobId id : jobs) FailThere(id, node, message);
  c_.pass_wanted_ = true;
}

void Controller::Turn::FailThere(JobId id, const std::string& node, const std::string& message) {
  const Job& job = *state().FindJob(id);
  if (job.state != JobState::kCompleting && !GoesOnWithout(job, node)) {
    Complete(job, {JobState::kNodeFail, kOurFailureExit, EndReason::kNodeFailed, message});
  }
  for (const Step& step : job.steps) {
    auto part = std::ranges::find(step.nodes, node, &StepNode::node);
    if (part == step.nodes.end() || part->state == StepState::kEnded) continue;
    StepId step_id{id, job.attempt, step.number};
    Record(StepNodeEnded{step_id, node, kOurFailureExit, EndReason::kNodeFailed, message, now_, {}});
  }
  Record(NodeReleased{id, job.attempt, node});
  Advance(id);
}

// What a silent node has surely ended need not be waited for. A node that is back tells by itself.
void Controller::Turn::operator()(const NodeSilent& input) {
  const Node* node = state().FindNode(input.node);
  if (node == nullptr || node->state == NodeState::kUp || c_.SessionOf(input.node) != 0) return;
  const std::set<JobId> jobs = node->jobs;
  for (JobId id : jobs) {
    std::uint32_t lease_s = state().LeaseOf(*state().FindJob(id));
    if (lease_s == 0 || input.silent_s < LeaseWait(lease_s, c_.options_.lease_end_s)) continue;
    FailThere(id, input.node,
              Cat("LEASE: node ", input.node, " was silent for longer than the lease of ", lease_s, " s"));
    c_.pass_wanted_ = true;
  }
}

// Steps that the node had started and knows nothing of any more, although it did not reboot: nobody will
// report their end.
void Controller::Turn::FindLostSteps(const RegisterNode& input) {
  const std::set<JobId> jobs = state().FindNode(input.node)->jobs;
  for (JobId id : jobs) {
    const Job& job = *state().FindJob(id);
    if (job.state == JobState::kCompleting) continue;  // its end needs no report
    std::vector<StepId> lost;
    for (const Step& step : job.steps) {
      auto part = std::ranges::find(step.nodes, input.node, &StepNode::node);
      StepId step_id{id, job.attempt, step.number};
      bool runs = part != step.nodes.end() && part->state == StepState::kRunning;
      if (runs && std::ranges::find(input.steps, step_id) == input.steps.end()) lost.push_back(step_id);
    }
    for (const StepId& step : lost) {
      Record(StepNodeEnded{step,
                           input.node,
                           kOurFailureExit,
                           EndReason::kLost,
                           Cat("node ", input.node, " has no trace of the step any more"),
                           now_,
                           {}});
      CountFailure(step, input.node, kOurFailureExit, EndReason::kLost);
    }
    Advance(id);
  }
}

// What the node has and we do not want: of an attempt that is history here.
void Controller::Turn::EndUnwanted(const RegisterNode& input) {
  std::set<std::pair<JobId, std::uint32_t>> told;
  for (const StepId& step : input.steps) {
    const Job* job = state().FindJob(step.job);
    bool ours = job != nullptr && IsActive(job->state) && job->attempt == step.attempt;
    const NodeAllocation* held = ours ? job->FindNode(input.node) : nullptr;
    if (held != nullptr && !held->released) {
      const Step* known = job->FindStep(step.step);
      if (known != nullptr && known->state == StepState::kEnded) Say(input.node, KillStep{step});
    } else if (told.insert({step.job, step.attempt}).second) {
      Say(input.node, EndJob{step.job, step.attempt});
    }
  }
}

void Controller::Turn::SendOutstanding(const std::string& node) {
  for (NodeMessage& message : Outstanding(state(), node, now_)) Say(node, std::move(message));
}

void Controller::Turn::operator()(const LoseNode& input) {
  auto connection = c_.connections_.find(input.node);
  if (connection == c_.connections_.end() || connection->second.session != input.session) return;
  connection->second.open = false;
  const Node* node = state().FindNode(input.node);
  if (node->state == NodeState::kUp) Record(NodeLost{input.node});
}

void Controller::Turn::operator()(const ReportImage& input) {
  const Node* node = state().FindNode(input.node);
  if (node == nullptr || node->images.contains(input.digest) == input.held) return;
  input.held ? Record(ImageStaged{input.node, input.digest}) : Record(ImageDropped{input.node, input.digest});
}

void Controller::Turn::operator()(const ReportCondition& input) {
  const Node* node = state().FindNode(input.node);
  if (node == nullptr || c_.SessionOf(input.node) != input.session) return;
  bool by_itself = node->drained && node->reason.starts_with(kHealth);
  if (input.reason.empty()) {
    if (!by_itself || node->state == NodeState::kDown) return;
    Record(NodeResumed{input.node, true});
  } else {
    std::string reason = Cat(input.keep ? "" : kHealth, input.reason);
    if ((node->drained && !by_itself) || node->reason == reason) return;  // an administrator's word stands
    Record(NodeDrained{input.node, std::move(reason)});
  }
  c_.pass_wanted_ = true;
}

void Controller::Turn::operator()(const ChangeNode& input) {
  if (state().FindNode(input.node) == nullptr) {
    return Answer(input.client, Fail(Code::kNotFound, "there is no node ", input.node));
  }
  switch (input.change) {
    case NodeChange::kDrain:
      Record(NodeDrained{input.node, input.reason});
      break;
    case NodeChange::kResume:
      Record(NodeResumed{input.node, c_.SessionOf(input.node) != 0});
      break;
    case NodeChange::kDown:
      FailNode(input.node, Cat("node ", input.node, " was declared down: ", input.reason));
      Record(NodeDeclaredDown{input.node, input.reason});
      break;
    default:
      return Answer(input.client, Fail(Code::kInvalidArgument, "unknown change of a node"));
  }
  c_.pass_wanted_ = true;
  Answer(input.client, Done{});
}

void Controller::Turn::Resend() {
  for (const auto& [name, connection] : c_.connections_) {
    if (connection.open) SendOutstanding(name);
  }
}

}  // namespace slipway::scheduler
