// SPDX-License-Identifier: Apache-2.0
// Apply, event by event: each file has the events that are about one thing. Private to the core.
#pragma once

#include <memory>
#include <string>

#include "scheduler/core/event.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

// A report may come late, twice, or for an attempt that is history, and an old log may hold all of these:
// each event first looks whether it still applies.
class Applier {
 public:
  Applier(State& state, Time at) : state_(state), at_(at) {}

  // apply_jobs.cc
  void operator()(const JobSubmitted& e);
  void operator()(const HetJobSubmitted& e);
  void operator()(const JobStarted& e);
  void operator()(const StartPlanned& e);
  void operator()(const JobCancelRequested& e);
  void operator()(const JobCompleting& e);
  void operator()(const NodeReleased& e);
  void operator()(const JobEnded& e);
  void operator()(const JobRequeued& e);
  void operator()(const JobUpdated& e);
  void operator()(const JobLeased& e);
  void operator()(const JobSignalled& e);
  void operator()(const JobsForgotten& e);

  // apply_arrays.cc
  void operator()(const ArrayTaskMade& e);
  void operator()(const ArrayCancelled& e);

  // apply_suspend.cc
  void operator()(const JobPreempted& e);
  void operator()(const JobSuspended& e);
  void operator()(const JobResumed& e);

  // apply_steps.cc
  void operator()(const StepCreated& e);
  void operator()(const StepKillRequested& e);
  void operator()(const StepNodeStarted& e);
  void operator()(const StepNodeEnded& e);
  void operator()(const StepFactsNoted& e);
  void operator()(const StepMeteredNoted& e);

  // apply_nodes.cc
  void operator()(const EpochBegan& e);
  void operator()(const NodeRegistered& e);
  void operator()(const NodeLost& e);
  void operator()(const NodeDrained& e);
  void operator()(const NodeResumed& e);
  void operator()(const NodeDeclaredDown& e);
  void operator()(const ImageStaged& e);
  void operator()(const ImageDropped& e);

  // apply.cc
  void operator()(const UsageClockSet& e);
  void operator()(const AccountSet& e);
  void operator()(const AccountRemoved& e);
  void operator()(const AssociationSet& e);
  void operator()(const AssociationRemoved& e);
  void operator()(const ReservationSet& e);
  void operator()(const ReservationRemoved& e);

 private:
  Job* Find(JobId id);
  Array* FindArray(JobId id);
  // The job while that attempt holds resources.
  Job* FindAttempt(JobId id, std::uint32_t attempt);
  Step* FindStep(const StepId& id);
  static StepNode* FindPart(Step* step, const std::string& node);
  Node* FindNode(const std::string& name);

  void Describe(Job& job, JobId id, std::shared_ptr<const JobSpec> spec, JobId array) const;
  void AddJob(JobId id, std::shared_ptr<const JobSpec> spec, JobId array, std::uint32_t array_task);
  void Update(Job& job, const JobUpdate& update) const;
  void MakePrimaryStep(Job& job);
  static bool Cleared(const Job& job);
  void CountRunning(const Job& job, int change);

  void AddArray(JobId id, const std::shared_ptr<const JobSpec>& spec, std::uint32_t window);
  // A task becomes a job, as the array is now.
  void MakeTask(Array& array, std::uint32_t task);
  static void SkipMade(Array& array);
  // Tasks become jobs until enough of them wait.
  void MakeNext(JobId id);

  static Timings Slowest(const Timings& a, const Timings& b);
  void End(Step& step, StepNode& part, std::int32_t exit_code, EndReason reason, const std::string& message,
           Time ended);

  void SetState(Node& node, NodeState state);

  State& state_;
  Time at_;
};

}  // namespace slipway::scheduler
