// SPDX-License-Identifier: Apache-2.0
// One call of Controller::Handle: records events (applying each at once, so that the next decision sees it),
// collects what is to be said, and puts it together in the order that the contract asks for: Persist first.
// Private to the core.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "scheduler/core/controller.h"

namespace slipway::scheduler {

class Controller::Turn {
 public:
  Turn(Controller& controller, Time now) : c_(controller), now_(now) {}

  void operator()(const SubmitJob& input);
  void operator()(const CancelJob& input);
  void operator()(const ChangeJob& input);
  void operator()(const SuspendJob& input);
  void operator()(const ChangeAccount& input);
  void operator()(const ChangeReservation& input);
  void operator()(const CreateStep& input);
  void operator()(const CancelStep& input);
  void operator()(const ChangeNode& input);
  void operator()(const StepReport& input);
  void operator()(const JobReleased& input);
  void operator()(const RegisterNode& input);
  void operator()(const LoseNode& input);
  void operator()(const NodeSilent& input);
  void operator()(const ReportImage& input);
  void operator()(const ReportCondition& input);
  void operator()(const Tick& input);

  void Record(EventBody body);
  std::vector<Effect> Finish();
  // Completes what is to be a job of its own, or says why it is refused.
  Result<> Admit(JobSpec& spec) const;

 private:
  void Say(const std::string& node, NodeMessage message);
  void Answer(ClientToken client, Result<slipway::scheduler::Answer> answer);
  Result<const Job*> JobForChange(JobId id, const Requester& by) const;
  // Of a task that is no job yet, and that he may change: it becomes one.
  void MakeTask(JobId id, const Requester& by);
  // The job, or of an array all tasks that have not ended.
  std::vector<JobId> TasksMeant(JobId id) const;
  Result<> MayChange(const Job& job, const ChangeJob& input) const;

  // A heterogeneous job: each component complete, or why it is refused.
  Result<std::vector<JobSpec>> CompleteComponents(const SubmitJob& input) const;
  void SubmitComponents(const SubmitJob& input);
  // The step that the job ends with; null: it has none, and ends with its leader.
  const Step* PrimaryStepOf(const Job& job) const;
  // Of a heterogeneous launch: whether the end of this component's program leaves others running.
  bool WaitsForOthers(const Job& job, const Step& primary) const;
  Outcome OutcomeOfWhole(const Job& job, const Step& primary) const;

  // What follows from the state of this job: its end once its first step has ended, and so on until nothing
  // follows.
  void Advance(JobId id);
  bool AdvanceOnce(const Job& job);
  void Complete(const Job& job, Outcome outcome);
  void Cancel(const Job& job, std::uint32_t uid);
  void KillStepParts(const Job& job, const Step& step);
  void LaunchParts(const Job& job, const Step& step);
  // Nothing of what was on the node is left.
  void FailNode(const std::string& node, const std::string& message);
  void FailThere(JobId id, const std::string& node, const std::string& message);  // the same, of one job
  void NoteFacts(const StepReport& input, const StepFacts& known);
  void CountFailure(const StepId& step, const std::string& node, std::int32_t exit_code, EndReason reason);
  void FindLostSteps(const RegisterNode& input);
  void EndUnwanted(const RegisterNode& input);
  void SendOutstanding(const std::string& node);

  void SaySuspended(const Job& job);
  // Those whose cores are free again go on.
  void ResumeLenders();
  void Preempt(const Preemption& preemption);
  void EndPreempted();
  void EndOverdue();
  void SendSignals();
  void WatchSignals(const Event& event);
  void EndLate();
  void EndReservations();
  void WatchDeadlines(const Event& event);
  void ForgetOld();
  void RunPass();
  void RecordPromises();
  void Resend();

  const State& state() const { return c_.state_; }
  Controller& c_;
  Time now_;
  std::vector<JobId> follow_;  // components that end with another one: what follows is to be looked at
  std::vector<Event> events_;
  std::vector<Effect> said_;
};

}  // namespace slipway::scheduler
