// SPDX-License-Identifier: Apache-2.0
// After each event the planner is brought to where the state has the one job or node that it is about.
#include <algorithm>

#include "scheduler/core/planning_policy.h"

namespace slipway::scheduler {

// Brings the job or node that an event is about to where the state has it.
struct PlanningPolicy::Follow {
  PlanningPolicy& policy;
  const State& state;
  void operator()(const EpochBegan&) const { policy.SyncAllNodes(state); }
  void operator()(const JobSubmitted& e) const { policy.SyncSubmitted(state, e.job); }
  void operator()(const HetJobSubmitted& e) const { policy.SyncJob(state, e.leader); }
  void operator()(const JobStarted& e) const {
    // Which of its partitions' limits it counts against is known only now.
    if (!e.partition.empty()) policy.planner_.Remove(e.job.value);
    policy.SyncWithDependents(state, e.job);
  }
  void operator()(const JobEnded& e) const { policy.SyncWithDependents(state, e.job); }
  void operator()(const JobUpdated& e) const { policy.SyncJob(state, e.job); }
  void operator()(const JobRequeued& e) const { policy.SyncJob(state, e.job); }
  void operator()(const NodeReleased& e) const {
    policy.planner_.Release(e.job.value, policy.numbers_.at(e.node));
  }
  void operator()(const ImageStaged& e) const { Holds(e.node, e.digest, true); }
  void operator()(const ImageDropped& e) const { Holds(e.node, e.digest, false); }
  void Holds(const std::string& node, const std::string& digest, bool held) const {
    auto set = policy.image_sets_.find(digest);
    auto number = policy.numbers_.find(node);
    plan::Cluster& cluster = policy.planner_.cluster();
    if (set == policy.image_sets_.end() || number == policy.numbers_.end()) return;
    cluster.EachView(number->second,
                     [&](plan::NodeNumber view) { cluster.PutInSet(set->second, view, held); });
  }
  void operator()(const AccountSet&) const { policy.AccountsChanged(); }
  void operator()(const AccountRemoved&) const { policy.AccountsChanged(); }
  void operator()(const AssociationSet&) const { policy.AccountsChanged(); }
  void operator()(const AssociationRemoved&) const { policy.AccountsChanged(); }
  void operator()(const UsageClockSet&) const { policy.priorities_.AccountsChanged(); }
  void operator()(const ArrayTaskMade& e) const {
    policy.SyncJob(state, state.arrays.at(e.array).TaskId(e.task));
    policy.SyncMade(state, e.array);
  }
  void operator()(const ArrayCancelled& e) const {
    const Array& array = state.arrays.at(e.array);
    policy.SyncDependents(state, e.array);
    for (auto at = state.dependents.lower_bound(array.TaskId(array.made));
         at != state.dependents.end() && at->first < array.TaskId(array.tasks); ++at)
      policy.SyncDependents(state, at->first);
  }
  void operator()(const StartPlanned&) const {}
  void operator()(const ReservationSet& e) const { Changed(e.reservation.name); }
  void operator()(const ReservationRemoved& e) const { Changed(e.reservation); }
  void Changed(const std::string& reservation) const {
    policy.changed_reservations_.insert(reservation);
    policy.reservations_stale_ = policy.disturbed_ = true;
  }
  void operator()(const JobPreempted&) const {}
  void operator()(const JobSuspended& e) const {
    if (e.by.value == 0) policy.SyncSuspended(state, e.job);  // else as we proposed
  }
  void operator()(const JobResumed& e) const { policy.SyncSuspended(state, e.job); }
  void operator()(const JobCancelRequested&) const {}
  void operator()(const JobSignalled&) const {}
  void operator()(const JobCompleting&) const {}
  void operator()(const JobsForgotten&) const {}
  void operator()(const StepCreated&) const {}
  void operator()(const StepKillRequested&) const {}
  void operator()(const StepNodeStarted&) const {}
  void operator()(const StepNodeEnded&) const {}
  void operator()(const StepFactsNoted&) const {}
  void operator()(const StepMeteredNoted&) const {}
  void operator()(const JobLeased&) const {}
  template <class NodeEvent>
  void operator()(const NodeEvent& e) const {
    policy.SyncNode(state, e.node);
  }
};

void PlanningPolicy::Observe(const State& state, const Event& event) {
  if (!stale_) return std::visit(Follow{*this, state}, event.body);
  disturbed_ = true;  // what happens until all is made anew may be a node's loss or a reservation
}

void PlanningPolicy::SyncAllNodes(const State& state) {
  for (plan::NodeNumber number = 0; number < names_.size(); ++number)
    planner_.SetUsable(number, state.FindNode(names_[number])->usable());
  disturbed_ = true;
}

void PlanningPolicy::SyncNode(const State& state, const std::string& name) {
  const Node* node = state.FindNode(name);
  auto number = numbers_.find(name);
  if (node == nullptr || number == numbers_.end()) {
    stale_ = true;
    return;
  }
  bool usable = planner_.cluster().Usable(number->second);
  plan::Vec total = CapacityOf(node->facts, site_->TraitsOf(name), dims_);
  if ((usable && !node->usable()) || !total.Holds(planner_.cluster().Total(number->second)))
    disturbed_ = true;
  if (planner_.cluster().Total(number->second) != total) {
    if (!state.reservations.empty()) return void(stale_ = true);  // they take all of it
    planner_.SetTotal(number->second, total);
    requests_.clear();
  }
  Await(*node);
  planner_.cluster().EachView(number->second, [&](plan::NodeNumber view) {
    planner_.SetUsable(view, node->usable());
    for (const auto& [digest, set] : image_sets_)
      planner_.cluster().PutInSet(set, view, node->images.contains(digest));
  });
}

// A job, or all tasks of an array that has just been submitted.
void PlanningPolicy::SyncSubmitted(const State& state, JobId id) {
  auto array = state.arrays.find(id);
  array == state.arrays.end() ? SyncJob(state, id) : SyncMade(state, id);
}

// The tasks of an array that have become jobs in their turn.
void PlanningPolicy::SyncMade(const State& state, JobId id) {
  auto array = state.arrays.find(id);
  if (array == state.arrays.end()) return;
  std::uint32_t& known = made_[id];
  for (; known < array->second.made; ++known) {
    JobId task = array->second.TaskId(known);
    if (!planner_.Knows(task.value)) SyncJob(state, task);
  }
  if (array->second.unmade() == 0) made_.erase(id);
}

void PlanningPolicy::SyncDependents(const State& state, JobId on) {
  auto dependents = state.dependents.find(on);
  if (dependents == state.dependents.end()) return;
  for (JobId waiting : dependents->second) {
    if (!planner_.Knows(waiting.value)) SyncJob(state, waiting);  // else it keeps its place
  }
}

void PlanningPolicy::SyncWithDependents(const State& state, JobId id) {
  SyncJob(state, id);
  for (JobId on : {id, state.FindJob(id)->array}) SyncDependents(state, on);
  if (JobId array = state.FindJob(id)->array; made_.contains(array)) SyncMade(state, array);
}

void PlanningPolicy::SyncJob(const State& state, JobId id) {
  const Job* job = state.FindJob(id);
  if (job != nullptr && IsActive(job->state)) {
    if (planner_.IsRunning(id.value)) return;  // as we proposed
    planner_.Remove(id.value);
    plan::Placement nodes;
    for (const NodeAllocation& held : job->nodes) {
      if (!held.released) nodes.push_back({numbers_.at(held.node), held.tasks});
    }
    plan::PlanJob known = PlanJobOf(state, *job);
    if (known.request.tasks == 0) {
      for (plan::NodeShare& share : nodes) share.tasks = 0;
    }
    planner_.AddRunning(known, nodes, EndOf(*job));
    if (!job->lent_to) return;
    const Job* borrower = state.FindJob(*job->lent_to);
    bool runs = borrower != nullptr && IsActive(borrower->state);
    planner_.Lend(id.value, runs ? EndOf(*borrower) : planner_.cluster().now() + 1);
    return;
  }
  planner_.Remove(id.value);
  if (job != nullptr) priorities_.Forget(*job);
  preemptors_.erase(id);
  if (auto waits = begins_.find(id); waits != begins_.end()) {
    not_yet_.erase({waits->second, id});
    begins_.erase(waits);
  }
  if (const std::vector<JobId> whole = state.ComponentsOf(id); !whole.empty()) return SyncWhole(state, whole);
  if (job == nullptr || job->state != JobState::kPending || !MayBePlanned(state, *job)) return;
  if (job->begin.us > planner_.cluster().now()) {
    not_yet_.insert({job->begin, id});
    begins_[id] = job->begin;
  } else {
    Enqueue(state, *job);
  }
}

// A job stands still or goes on: its end is another one.
void PlanningPolicy::SyncSuspended(const State& state, JobId id) {
  planner_.Remove(id.value);
  SyncJob(state, id);
  disturbed_ = true;
}

void PlanningPolicy::Enqueue(const State& state, const Job& job) {
  planner_.Add(PlanJobOf(state, job));
  if (job.spec->resources.switches > 0 && SwitchesUntil(job).us > planner_.cluster().now())
    switch_waits_.insert({SwitchesUntil(job), job.id});
  if (CanPreempt(*job.spec)) preemptors_.insert(job.id);
}

void PlanningPolicy::BeginJobs(const State& state, Time now) {
  while (!not_yet_.empty() && not_yet_.begin()->first <= now) {
    JobId id = not_yet_.begin()->second;
    not_yet_.erase(not_yet_.begin());
    begins_.erase(id);
    if (const std::vector<JobId> whole = state.ComponentsOf(id); !whole.empty()) {
      SyncWhole(state, whole);
      continue;
    }
    Enqueue(state, *state.FindJob(id));
  }
}

// Limits may have come, gone or changed: what runs has to be counted against them anew.
void PlanningPolicy::AccountsChanged() {
  priorities_.AccountsChanged();
  stale_ = true;
}

}  // namespace slipway::scheduler
