// SPDX-License-Identifier: Apache-2.0
// What the core is told (Input) and what it wants done (Effect). The daemon translates: gRPC calls and node
// streams into inputs, effects into commits, answers and messages. The simulator does the same without gRPC.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/result/result.h"
#include "scheduler/core/event.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

// ---- Messages to nodes. Each may arrive twice or after a restart of either side; nodes answer with what is
// so.

// Start your part of the step. Confirmed by a StepReport; sent again until then. A node that has (had) the
// step answers with the reports it has instead of starting it again.
struct LaunchStep {
  StepId step;
  std::uint64_t epoch = 0;
  JobId oldest_live_job;
  std::shared_ptr<const JobSpec> job;
  std::shared_ptr<const Command> command;
  std::string image_digest;  // resolved: the step's, else the job's; empty: no image
  JobId array;               // 0: none
  std::uint32_t array_task = 0;
  std::vector<StepNode> nodes;   // the whole placement; ranks in blocks, or as the command asks
  std::uint32_t node_index = 0;  // in nodes: the receiver
  NodeAllocation allocation;     // of the job on this node
  std::uint32_t cores_per_task = 1;
  std::uint32_t time_limit_s = 0;  // what is left of the job's and the step's; 0: none
  std::uint32_t lease_s = 0;       // lease.h; 0: none
};
// End the step (SIGTERM, grace, SIGKILL); answered by its StepReport. A node that never saw the step reports
// it as ended (kKilled), remembers that, and does not start it when a LaunchStep comes later.
struct KillStep {
  StepId step;
};
// Kill whatever is left of the job, clean up, then confirm with JobReleased. A node that never saw the job
// confirms too, and refuses any later LaunchStep of that attempt.
struct EndJob {
  JobId job;
  std::uint32_t attempt = 0;
};
// All that runs of the step stands still, or goes on; its time limit with it. Said again until the step or
// its suspension ends; nothing changes when it is so already.
struct SuspendStep {
  StepId step;
  bool suspended = false;
};
// SIGCONT and SIGTERM to all that runs of the step: it will be ended soon.
struct WarnStep {
  StepId step;
};
// The job's signal before its time limit. Said again until the step ends; acted upon once.
struct SignalStep {
  StepId step;
  std::int32_t signal = 0;
  bool rank_alone = false;  // not what it has started
};
struct Prefetch {
  std::string digest;
};
// Reports of this number and session are durable here; the node may forget them.
struct AckReport {
  std::uint64_t seq = 0;
};
// The registration holds; reports may follow.
struct Registered {
  std::uint64_t epoch = 0;
  JobId oldest_live_job;
};
using NodeMessage = std::variant<LaunchStep, KillStep, EndJob, SuspendStep, WarnStep, SignalStep, Prefetch,
                                 AckReport, Registered>;
std::string Describe(const NodeMessage& message);

// ---- Inputs

// Whose answer it is; the daemon's own numbering. 0: nobody waits.
struct ClientToken {
  std::uint64_t value = 0;
  auto operator<=>(const ClientToken&) const = default;
};

inline constexpr std::size_t kHetComponentsMax = 128;  // of a heterogeneous job; more are refused

// The caller has been authenticated and the image resolved: spec.user and the digest are true.
struct SubmitJob {  // → JobAccepted
  ClientToken client;
  JobSpec spec;
  // Of a heterogeneous job the components behind the first. What belongs to the whole job (dependencies,
  // hold, begin, deadline, priority, nice, requeue) is the first one's.
  std::vector<JobSpec> others = {};
  std::uint32_t lease_s = 0;  // of all of it (lease.h); 0: none
};
struct Requester {
  std::uint32_t uid = 0;
  bool admin = false;  // may touch other users' jobs
};
struct CancelJob {  // → Done once it is durable, not once it has ended. An array's id: all its tasks.
  ClientToken client;
  JobId job;
  Requester by;
};
struct ChangeJob {  // → Done. An array's id: all its tasks that have not ended.
  ClientToken client;
  JobId job;
  Requester by;
  JobUpdate update;
};
// The job stands still, or goes on. Administrators only.
struct SuspendJob {  // → Done. An array's id: all its tasks that run (are suspended).
  ClientToken client;
  JobId job;
  Requester by;
  bool suspended = true;
};
// Accounts and users in them, as they are to be. Administrators only.
using AccountChange = std::variant<AccountSet, AccountRemoved, AssociationSet, AssociationRemoved>;
struct ChangeAccount {  // → Done
  ClientToken client;
  Requester by;
  AccountChange change;
};
// A reservation as it is to be. Administrators only.
struct ReservationRequest {
  Reservation wanted;
  bool create = false;  // there must be none of that name; else there must be one
  // With `wanted.nodes` empty: so many nodes are chosen, of the partition's (empty: of all), which have the
  // features (as --constraint of one kind of nodes), and that nothing is expected to run on then.
  std::uint32_t node_count = 0;
  std::string partition, features;
  bool ignore_jobs = false;  // although jobs that run there now are expected to run into it
};
using ReservationChange = std::variant<ReservationRequest, ReservationRemoved>;
struct ChangeReservation {  // → Done
  ClientToken client;
  Requester by;
  ReservationChange change;
};
struct CreateStep {  // → StepAccepted. Only in a job that is STARTING or RUNNING, only by its user.
  ClientToken client;
  JobId job;
  Requester by;
  Command command;
  // Neither nodes nor tasks given: laid out as the job itself. Memory is the job's.
  Resources resources;
  std::uint32_t time_limit_s = 0;
};
struct CancelStep {  // → Done
  ClientToken client;
  StepId step;  // attempt 0: the present one
  Requester by;
};
enum class NodeChange : std::uint8_t { kDrain = 1, kResume = 2, kDown = 3 };
struct ChangeNode {  // → Done. Administrators only: the daemon checks.
  ClientToken client;
  std::string node;
  NodeChange change = NodeChange::kDrain;
  std::string reason;
};

enum class ReportKind : std::uint8_t { kStarted = 1, kEnded = 2 };
struct StepReport {
  std::string node;
  std::uint64_t session = 0;
  std::uint64_t seq = 0;  // the node's numbering, for the acknowledgement only
  StepId step;
  ReportKind kind = ReportKind::kStarted;
  std::int32_t exit_code = 0;
  EndReason reason = EndReason::kExited;
  std::string message;
  Time at;  // the node's clock; for kEnded the moment of its first failure, or of its end
  Timings timings;
  StepFacts facts;
};
struct JobReleased {  // answer to EndJob; not acknowledged: it is asked for again until it comes
  std::string node;
  std::uint64_t session = 0;
  JobId job;
  std::uint32_t attempt = 0;
};
// The first message of a node's stream. `session` is the daemon's number of the stream: later streams have
// greater ones, and what comes from an earlier stream after a later one registered counts only where it
// changes nothing else.
struct RegisterNode {
  std::string node;
  std::uint64_t session = 0;
  NodeFacts facts;
  std::string boot_id, address;
  std::vector<std::string> images;
  std::vector<StepId> steps;  // that the node has: running, or ended and not acknowledged (reports follow)
};
struct LoseNode {  // its stream is gone (after what grace the daemon gives)
  std::string node;
  std::uint64_t session = 0;
};
// The node has been silent for so long, by a clock that nobody sets: nothing that it said since was answered,
// neither by this controller nor by one before it. Said once ShortestLeaseWait (lease.h) has passed, and
// again.
struct NodeSilent {
  std::string node;
  std::int64_t silent_s = 0;
};
// How the node finds itself, whenever that changes.
struct ReportCondition {
  std::string node;
  std::uint64_t session = 0;
  std::string reason;  // why nothing shall start there; empty: it is well
  bool keep = false;   // an administrator has to look at it: being well again changes nothing
};
struct ReportImage {
  std::string node, digest;
  bool held = true;  // false: the node has it no more
};
struct Tick {};  // a timer asked for by StartTimer is due (or any other time)

using Input = std::variant<SubmitJob, CancelJob, ChangeJob, SuspendJob, ChangeAccount, ChangeReservation,
                           CreateStep, CancelStep, ChangeNode, StepReport, JobReleased, RegisterNode,
                           LoseNode, NodeSilent, ReportImage, ReportCondition, Tick>;

// ---- Effects, to be performed in order. What follows a Persist waits until that is committed.

struct Persist {
  std::vector<Event> events;
};
struct Send {  // to the node's present stream; dropped when `session` is not that one any more
  std::string node;
  std::uint64_t session = 0;
  NodeMessage message;
};
struct JobAccepted {
  JobId job;  // of an array: the array's
  std::uint32_t tasks = 1;
};
struct StepAccepted {
  StepId step;
};
struct Done {};
using Answer = std::variant<JobAccepted, StepAccepted, Done>;
struct Reply {
  ClientToken client;
  Result<Answer> answer;
};
// Give the core a Tick at this time (at once when it has passed, but after inputs that wait already: passes
// are coalesced so). Replaces the timer before it.
struct StartTimer {
  Time at;
};
using Effect = std::variant<Persist, Send, Reply, StartTimer>;

}  // namespace slipway::scheduler
