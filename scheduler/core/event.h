// SPDX-License-Identifier: Apache-2.0
// Everything that can happen to the cluster's state, as facts in the past tense. An event is committed to the
// store before anyone is told of it, and replaying all of them gives the state back. docs/formats/events.md
// has the bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "scheduler/core/ids.h"
#include "scheduler/core/job_spec.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

// A controller took over. Nodes are UNKNOWN until they register with it.
struct EpochBegan {
  std::uint64_t epoch = 0;
};
void Fields(auto& archive, IsA<EpochBegan> auto& v) { archive(v.epoch); }

// With spec.array: `job` names the array, its tasks have the ids job+1 … job+n. As many as `window` become
// jobs at once, and whenever one of these leaves the queue the next one does; 0: all at once.
struct JobSubmitted {
  JobId job;
  JobSpec spec;
  std::uint32_t window = 0;  // since version 4
};
void Fields(auto& archive, IsA<JobSubmitted> auto& v) { archive(v.job, v.spec, v.window); }

// A heterogeneous job: its components are jobs with the ids leader, leader+1, …, that start together.
struct HetJobSubmitted {
  JobId leader;
  std::vector<JobSpec> components;
};
void Fields(auto& archive, IsA<HetJobSubmitted> auto& v) { archive(v.leader, v.components); }

// Of a job that was just submitted (an array, a heterogeneous job's leader: all of it): a node that does not
// hear the controller for so long ends what runs of it there, and then it may start again (lease.h).
struct JobLeased {
  JobId job;
  std::uint32_t lease_s = 0;
};
void Fields(auto& archive, IsA<JobLeased> auto& v) { archive(v.job, v.lease_s); }

// Allots the nodes and makes the primary step (not of a batch job's components behind the first: these only
// hold what steps are started on).
struct JobStarted {
  JobId job;
  std::uint32_t attempt = 0;
  std::vector<NodeAllocation> nodes;
  std::uint64_t billing = 0;  // what a second of it costs; since version 3
  // Since version 5.
  std::string partition;           // of those that it may be in; empty: its only one
  std::uint32_t time_limit_s = 0;  // that it was given of what it asked for; 0: all
};
void FieldsV3(auto& archive, IsA<JobStarted> auto& v) { archive(v.job, v.attempt, v.nodes, v.billing); }
void Fields(auto& archive, IsA<JobStarted> auto& v) {
  FieldsV3(archive, v);
  archive(v.partition, v.time_limit_s);
}

struct JobCancelRequested {
  JobId job;
  std::uint32_t uid = 0;
};
void Fields(auto& archive, IsA<JobCancelRequested> auto& v) { archive(v.job, v.uid); }

// How an active job ends is decided; its nodes are being cleared.
struct JobCompleting {
  JobId job;
  std::uint32_t attempt = 0;
  Outcome outcome;
};
void Fields(auto& archive, IsA<JobCompleting> auto& v) { archive(v.job, v.attempt, v.outcome); }

// Nothing of the job is left on the node: its resources there are free. Steps that had not ended there end as
// killed.
struct NodeReleased {
  JobId job;
  std::uint32_t attempt = 0;
  std::string node;
};
void Fields(auto& archive, IsA<NodeReleased> auto& v) { archive(v.job, v.attempt, v.node); }

// For good. All nodes are released.
struct JobEnded {
  JobId job;
  std::uint32_t attempt = 0;  // 0: never started
  Outcome outcome;
};
void Fields(auto& archive, IsA<JobEnded> auto& v) { archive(v.job, v.attempt, v.outcome); }

// Back to PENDING; the next start has the next attempt.
struct JobRequeued {
  JobId job;
  std::uint32_t attempt = 0;  // the one that failed
};
void Fields(auto& archive, IsA<JobRequeued> auto& v) { archive(v.job, v.attempt); }

// Ended jobs that were kept long enough leave memory.
struct JobsForgotten {
  std::vector<JobId> jobs;
};
void Fields(auto& archive, IsA<JobsForgotten> auto& v) { archive(v.jobs); }

struct StepCreated {
  StepId step;
  Command command;
  std::uint32_t cores_per_task = 1;
  std::uint32_t time_limit_s = 0;
  std::vector<StepNode> nodes;
};
void Fields(auto& archive, IsA<StepCreated> auto& v) {
  archive(v.step, v.command, v.cores_per_task, v.time_limit_s, v.nodes);
}

struct StepKillRequested {
  StepId step;
};
void Fields(auto& archive, IsA<StepKillRequested> auto& v) { archive(v.step); }

// One node's part of the step runs. The step (and, for the primary one, the job) runs with the first.
struct StepNodeStarted {
  StepId step;
  std::string node;
  Time started;
  Timings timings;
};
void Fields(auto& archive, IsA<StepNodeStarted> auto& v) { archive(v.step, v.node, v.started, v.timings); }

// One node's part of the step has ended. The step has with the last.
struct StepNodeEnded {
  StepId step;
  std::string node;
  std::int32_t exit_code = 0;
  EndReason reason = EndReason::kExited;
  std::string message;
  Time ended;
  Timings timings;
};
void Fields(auto& archive, IsA<StepNodeEnded> auto& v) {
  archive(v.step, v.node, v.exit_code, v.reason, v.message, v.ended, v.timings);
}

struct StepFactsNoted {  // of one node's part
  StepId step;
  std::string node;
  StepFacts facts;
};
void Fields(auto& archive, IsA<StepFactsNoted> auto& v) { archive(v.step, v.node, v.facts); }

struct StepMeteredNoted {  // likewise, and only where something was metered
  StepId step;
  std::string node;
  StepMetered metered;
};
void Fields(auto& archive, IsA<StepMeteredNoted> auto& v) { archive(v.step, v.node, v.metered); }

struct NodeRegistered {
  std::string node;
  NodeFacts facts;
  std::string boot_id, address;
  std::vector<std::string> images;
};
void Fields(auto& archive, IsA<NodeRegistered> auto& v) {
  archive(v.node, v.facts, v.boot_id, v.address, v.images);
}

struct NodeLost {  // silent: UNKNOWN
  std::string node;
};
void Fields(auto& archive, IsA<NodeLost> auto& v) { archive(v.node); }

struct NodeDrained {
  std::string node, reason;
};
void Fields(auto& archive, IsA<NodeDrained> auto& v) { archive(v.node, v.reason); }

struct NodeResumed {  // no longer drained; a DOWN one is UP when it is connected, else UNKNOWN
  std::string node;
  bool connected = false;
};
void Fields(auto& archive, IsA<NodeResumed> auto& v) { archive(v.node, v.connected); }

struct NodeDeclaredDown {
  std::string node, reason;
};
void Fields(auto& archive, IsA<NodeDeclaredDown> auto& v) { archive(v.node, v.reason); }

struct ImageStaged {  // the node holds the image now
  std::string node, digest;
};
void Fields(auto& archive, IsA<ImageStaged> auto& v) { archive(v.node, v.digest); }

// What may be changed of a job after its submission; absent: stays.
struct JobUpdate {
  std::optional<Hold> hold;
  std::optional<std::int32_t> priority, nice;
  std::optional<std::uint32_t> time_limit_s;
  std::optional<Time> begin;
  bool requeue = false;  // starts again once its nodes are clear
};
void Fields(auto& archive, IsA<JobUpdate> auto& v) {
  archive(v.hold, v.priority, v.nice, v.time_limit_s, v.begin, v.requeue);
}
struct JobUpdated {
  JobId job;              // since version 4 also an array: its tasks that are no jobs yet
  std::uint32_t uid = 0;  // who
  JobUpdate update;
};
void Fields(auto& archive, IsA<JobUpdated> auto& v) { archive(v.job, v.uid, v.update); }

// A running job has to go: its processes are told (SIGCONT and SIGTERM), its steps are ended, its nodes
// cleared.
struct JobPreempted {
  JobId job;
  std::uint32_t attempt = 0;
  JobId by;
  bool requeue = false;  // it runs again later
  Time kill_at;          // its steps are ended then; 0: at once. Since version 5
};
void FieldsV3(auto& archive, IsA<JobPreempted> auto& v) { archive(v.job, v.attempt, v.by, v.requeue); }
void Fields(auto& archive, IsA<JobPreempted> auto& v) {
  FieldsV3(archive, v);
  archive(v.kill_at);
}

// A running job stands still: its processes are stopped, and its time with them. It keeps its nodes; for a
// job that needs its cores (`by`) it lends them.
struct JobSuspended {
  JobId job;
  std::uint32_t attempt = 0;
  JobId by;               // 0: an administrator wished it
  std::uint32_t uid = 0;  // who, with `by` 0
};
void Fields(auto& archive, IsA<JobSuspended> auto& v) { archive(v.job, v.attempt, v.by, v.uid); }

struct JobResumed {
  JobId job;
  std::uint32_t attempt = 0;
};
void Fields(auto& archive, IsA<JobResumed> auto& v) { archive(v.job, v.attempt); }

// Its time is nearly over: its steps are sent the signal that it asked for.
struct JobSignalled {
  JobId job;
  std::uint32_t attempt = 0;
};
void Fields(auto& archive, IsA<JobSignalled> auto& v) { archive(v.job, v.attempt); }

struct UsageClockSet {  // how usage is kept from now on; `at` of it is the event's own time
  UsageClock clock;
};
void Fields(auto& archive, IsA<UsageClockSet> auto& v) { archive(v.clock); }

struct AccountSet {  // made or changed
  Account account;
};
void Fields(auto& archive, IsA<AccountSet> auto& v) { archive(v.account); }

struct AccountRemoved {  // has neither users nor accounts below it
  std::string account;
};
void Fields(auto& archive, IsA<AccountRemoved> auto& v) { archive(v.account); }

struct AssociationSet {  // made or changed
  AssociationKey key;
  Association association;
};
void Fields(auto& archive, IsA<AssociationSet> auto& v) { archive(v.key, v.association); }

struct AssociationRemoved {
  AssociationKey key;
};
void Fields(auto& archive, IsA<AssociationRemoved> auto& v) { archive(v.key); }

struct ReservationSet {  // made or changed
  Reservation reservation;
};
void Fields(auto& archive, IsA<ReservationSet> auto& v) { archive(v.reservation); }

struct ReservationRemoved {  // by an administrator, or because it is over
  std::string reservation;
};
void Fields(auto& archive, IsA<ReservationRemoved> auto& v) { archive(v.reservation); }

// A task becomes a job before its turn: somebody is about to change it.
struct ArrayTaskMade {
  JobId array;
  std::uint32_t task = 0;  // counted from 0, not its index
};
void Fields(auto& archive, IsA<ArrayTaskMade> auto& v) { archive(v.array, v.task); }

// Its tasks that are no jobs yet end before they began.
struct ArrayCancelled {
  JobId array;
  std::uint32_t uid = 0;
};
void Fields(auto& archive, IsA<ArrayCancelled> auto& v) { archive(v.array, v.uid); }

// A waiting job is promised a start, another one than before, or (`at` 0) none any more.
struct StartPlanned {
  JobId job;
  PlannedStart planned;
};
void Fields(auto& archive, IsA<StartPlanned> auto& v) { archive(v.job, v.planned); }
struct ImageDropped {  // the node has let the image go
  std::string node, digest;
};
void Fields(auto& archive, IsA<ImageDropped> auto& v) { archive(v.node, v.digest); }

// New ones go to the end, and into the list of kinds on disk (event.cc).
using EventBody =
    std::variant<EpochBegan, JobSubmitted, JobStarted, JobCancelRequested, JobCompleting, NodeReleased,
                 JobEnded, JobRequeued, JobsForgotten, StepCreated, StepKillRequested, StepNodeStarted,
                 StepNodeEnded, NodeRegistered, NodeLost, NodeDrained, NodeResumed, NodeDeclaredDown,
                 ImageStaged, JobUpdated, UsageClockSet, AccountSet, AccountRemoved, AssociationSet,
                 AssociationRemoved, JobPreempted, ReservationSet, ReservationRemoved, ArrayTaskMade,
                 ArrayCancelled, StartPlanned, ImageDropped, JobSuspended, JobResumed, StepFactsNoted,
                 HetJobSubmitted, JobLeased, JobSignalled, StepMeteredNoted>;

struct Event {
  Time at;  // the controller's clock; never smaller than the event's before
  EventBody body;
};

std::string EncodeEvent(const Event& event);
// kInvalidArgument: a version or kind this release does not know, or malformed bytes.
Result<Event> DecodeEvent(std::string_view record);
// One line for logs and the simulator: "JobStarted 42.1 on n1,n2".
std::string Describe(const Event& event);

}  // namespace slipway::scheduler
