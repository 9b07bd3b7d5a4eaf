// SPDX-License-Identifier: Apache-2.0
// All that the cluster is, in memory, as the committed events made it. Only Apply() (apply.h) changes a
// State; whoever reads one does so on the thread that owns the Controller. Containers are ordered, so that
// walking them is the same in every run. Indexes (marked "derived") are kept by Apply, are not stored, and
// are made again by DecodeState.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/core/account.h"
#include "scheduler/core/core_set.h"
#include "scheduler/core/ids.h"
#include "scheduler/core/job_spec.h"
#include "scheduler/core/reservation.h"

namespace slipway::scheduler {

// ---- Nodes

struct NodeFacts {
  std::uint32_t sockets = 1, cores = 1, threads_per_core = 1;  // cores: of the node, what jobs are given
  // core_cpus[core]: the kernel's processor numbers of that core. Empty: cores are only counted, nothing is
  // bound (a virtual node may have more cores than the machine).
  std::vector<std::vector<std::uint32_t>> core_cpus;
  std::uint64_t memory_bytes = 0;  // that jobs may use
  std::string architecture, os, agent_version;
  bool operator==(const NodeFacts&) const = default;
};
void Fields(auto& archive, IsA<NodeFacts> auto& v) {
  archive(v.sockets, v.cores, v.threads_per_core, v.core_cpus, v.memory_bytes, v.architecture, v.os,
          v.agent_version);
}

enum class NodeState : std::uint8_t {
  kUnknown = 1,  // silent: what ran there runs on, nothing new starts
  kUp = 2,
  kDown = 3,  // an administrator said that nothing runs there any more
};
std::string_view NodeStateName(NodeState state);  // "UP", …

// Reasons that begin so are those of a node that drained itself, and resumes once it is well again;
// administrators' never do.
inline constexpr std::string_view kHealth = "health: ";

struct Node {
  std::string name;
  NodeFacts facts;
  std::string boot_id, address;
  NodeState state = NodeState::kUnknown;
  bool drained = false;          // nothing new starts; what runs there runs on
  std::string reason;            // of drained or DOWN, in the administrator's words or (kHealth) the node's
  Time since;                    // of the last change of state or drained
  std::set<std::string> images;  // digests that the node said it holds

  // Derived.
  CoreSet cores_allotted, cores_free;
  std::uint64_t memory_allotted_bytes = 0, memory_free_bytes = 0;
  CoreSet gpus_allotted;
  std::set<JobId> jobs;  // that hold resources here

  bool usable() const { return state == NodeState::kUp && !drained; }
};

// ---- Jobs

// What one job holds on one node, in the order of ranks.
struct NodeAllocation {
  std::string node;
  CoreSet cores;
  std::uint64_t memory_bytes = 0;           // 0: not reserved, not limited
  std::uint32_t first_rank = 0, tasks = 0;  // blocks: ranks first_rank … first_rank+tasks-1
  bool released = false;                    // the node confirmed that nothing of the job is left there
  CoreSet gpus;                             // by index; since version 3
  bool operator==(const NodeAllocation&) const = default;
};
void FieldsV2(auto& archive, IsA<NodeAllocation> auto& v) {
  archive(v.node, v.cores, v.memory_bytes, v.first_rank, v.tasks, v.released);
}
void Fields(auto& archive, IsA<NodeAllocation> auto& v) {
  FieldsV2(archive, v);
  archive(v.gpus);
}
struct NodeAllocationV2 {
  NodeAllocation allocation;
};
void Fields(auto& archive, IsA<NodeAllocationV2> auto& v) { FieldsV2(archive, v.allocation); }

enum class EndReason : std::uint8_t {
  kNone = 0,
  kExited = 1,  // by itself; exit_code says how (128+signal)
  kKilled = 2,  // on our request (KillStep, EndJob): its exit code says nothing about the program
  kTimeLimit = 3,
  kOutOfMemory = 4,
  kLaunchFailed = 5,  // nothing of it ever ran (image, mount, command); message says why
  kNodeFailed = 6,    // rebooted or declared down with the step on it
  kLost = 7,          // the node is up and has no trace of a step that it had started
  kCancelled = 8,     // jobs: by a user
  kNodeUnfit = 20,    // never ran: the node found itself unfit (health, prolog); the job is started again
};
std::string_view EndReasonName(EndReason reason);  // "exited", "time limit", …

// Where the time of a start went, in microseconds.
struct Timings {
  std::uint64_t stage_us = 0, start_us = 0, wireup_us = 0, run_us = 0;
  bool operator==(const Timings&) const = default;
};
void Fields(auto& archive, IsA<Timings> auto& v) { archive(v.stage_us, v.start_us, v.wireup_us, v.run_us); }

enum class StepState : std::uint8_t { kStarting = 1, kRunning = 2, kEnded = 3 };
std::string_view StepStateName(StepState state);

// What the ranks of a step used on one node. 0: nothing, or not known there.
struct StepUsage {
  std::uint64_t cpu_us = 0, cpu_user_us = 0, cpu_system_us = 0;
  std::uint64_t memory_peak_bytes = 0, swap_peak_bytes = 0;
  std::uint64_t io_read_bytes = 0, io_write_bytes = 0;
  std::uint64_t pressure_cpu_us = 0, pressure_memory_us = 0,
                pressure_io_us = 0;  // something of it waited so long
  bool operator==(const StepUsage&) const = default;
};
void Fields(auto& archive, IsA<StepUsage> auto& v) {
  archive(v.cpu_us, v.cpu_user_us, v.cpu_system_us, v.memory_peak_bytes, v.swap_peak_bytes, v.io_read_bytes,
          v.io_write_bytes, v.pressure_cpu_us, v.pressure_memory_us, v.pressure_io_us);
}
// What the node's agent metered of it beside that, and what its container was given. 0: nothing, or not
// known.
struct StepMetered {
  std::uint64_t energy_mj = 0, node_energy_mj = 0, gpu_energy_mj = 0;
  std::uint64_t gpu_busy_us = 0, gpu_watched_us = 0, gpu_memory_peak_bytes = 0;
  std::string libraries;  // file names of the host's, with blanks between them
  bool operator==(const StepMetered&) const = default;
};
void Fields(auto& archive, IsA<StepMetered> auto& v) {
  archive(v.energy_mj, v.node_energy_mj, v.gpu_energy_mj, v.gpu_busy_us, v.gpu_watched_us,
          v.gpu_memory_peak_bytes, v.libraries);
}
// And how they were bound there: the node's word, for people and accounting.
struct StepFacts {
  StepUsage usage;      // once it has ended
  std::string binding;  // one line
  StepMetered metered;  // not of StepFactsNoted's bytes: StepMeteredNoted brings it
  bool operator==(const StepFacts&) const = default;
};
void Fields(auto& archive, IsA<StepFacts> auto& v) { archive(v.usage, v.binding); }

struct StepNode {
  std::string node;
  std::uint32_t first_rank = 0, tasks = 0;
  StepState state = StepState::kStarting;
  std::int32_t exit_code = 0;
  EndReason reason = EndReason::kNone;
  std::string message;  // one line, of a failure
  Time started, ended;  // by the node's clock; 0: not
  Timings timings;
  std::shared_ptr<const StepFacts>
      facts;  // null: none are known. Not of an event's bytes: StepFactsNoted brings them
  bool operator==(const StepNode&) const = default;
};
void Fields(auto& archive, IsA<StepNode> auto& v) {
  archive(v.node, v.first_rank, v.tasks, v.state, v.exit_code, v.reason, v.message, v.started, v.ended,
          v.timings);
}

struct Step {
  std::uint32_t number = 0;
  std::shared_ptr<const Command> command;  // of the primary step: inside the job's spec
  std::uint32_t cores_per_task = 1;
  std::uint32_t time_limit_s = 0;  // of this step alone; 0: the job's
  std::vector<StepNode> nodes;     // in rank order
  StepState state = StepState::kStarting;
  bool kill_requested = false;  // KillStep goes to every node that has not reported its end
  bool signalled = false;       // SignalStep likewise, to those on which it runs
  // Once kEnded, over all nodes: the first failure in time (a program's own before one that our kill caused),
  // or 0.
  std::int32_t exit_code = 0;
  EndReason reason = EndReason::kNone;
  std::string message;
  Time created, started, ended;
  Timings timings;  // the slowest node's
};

enum class JobState : std::uint8_t {
  kPending = 1,
  kStarting = 2,  // resources are allotted, its first step does not run yet
  kRunning = 3,
  kCompleting = 4,  // how it ends is decided (outcome); nodes are being cleared
  kCompleted = 5,
  kFailed = 6,
  kCancelled = 7,
  kTimeout = 8,
  kNodeFail = 9,
  kDeadline = 10,  // was not started early enough to end by its deadline
  kPreempted = 11,
};
std::string_view JobStateName(JobState state);  // "PENDING", …
inline bool IsTerminal(JobState state) { return state >= JobState::kCompleted; }
// Holds (some of) its nodes: STARTING, RUNNING, COMPLETING.
inline bool IsActive(JobState state) { return state > JobState::kPending && state < JobState::kCompleted; }

struct Outcome {
  JobState state = JobState::kCompleted;  // a terminal one
  std::int32_t exit_code = 0;
  EndReason reason = EndReason::kNone;
  std::string message;
  bool operator==(const Outcome&) const = default;
};
void Fields(auto& archive, IsA<Outcome> auto& v) { archive(v.state, v.exit_code, v.reason, v.message); }

enum class Hold : std::uint8_t { kNone = 0, kUser = 1, kAdmin = 2 };

enum class DependencyState : std::uint8_t { kWaiting = 0, kMet = 1, kNever = 2 };
struct JobDependency {
  Dependency what;  // never kSingleton, nor kAfterCorr of an array: these are resolved to jobs at submission
  DependencyState state = DependencyState::kWaiting;
  bool operator==(const JobDependency&) const = default;
};
void Fields(auto& archive, IsA<JobDependency> auto& v) { archive(v.what, v.state); }

// A start that a waiting job was promised.
struct PlannedNode {
  std::string node;
  std::uint32_t tasks = 0;  // 0: as many as on each
  bool operator==(const PlannedNode&) const = default;
};
void Fields(auto& archive, IsA<PlannedNode> auto& v) { archive(v.node, v.tasks); }
struct PlannedStart {
  Time at;  // no later, unless nodes fail or jobs overrun their limits
  std::vector<PlannedNode> nodes;
  bool operator==(const PlannedStart&) const = default;
};
void Fields(auto& archive, IsA<PlannedStart> auto& v) { archive(v.at, v.nodes); }

struct Job {
  JobId id;
  std::shared_ptr<const JobSpec> spec;  // tasks of an array share one
  JobId array;                          // of the array it is a task of; 0: none
  std::uint32_t array_task = 0;         // its index there
  JobState state = JobState::kPending;
  std::uint32_t attempt = 0;          // of the last start; 0: never started
  std::vector<NodeAllocation> nodes;  // of the last attempt, in rank order
  std::vector<Step> steps;            // of the last attempt, in order of creation; the primary one is first
  std::uint32_t next_step = 0;
  std::optional<Outcome> outcome;                     // set from COMPLETING on
  std::optional<std::uint32_t> cancelled_by;          // uid that asked
  Time submitted, eligible, started, running, ended;  // running: the primary step first ran
  // From the specification, and changed since.
  Hold hold = Hold::kNone;
  std::int32_t base_priority = 0, nice = 0;
  std::uint32_t time_limit_s = 0;
  Time begin;
  std::vector<JobDependency> dependencies;
  bool requeue_wanted = false;  // starts again once its nodes are clear
  bool signalled = false;       // of the last attempt: its signal before the time limit was sent
  // Since version 3: what a second of it costs (usage.h), and until when that was charged.
  std::uint64_t billing = 0;
  Time charged_until;
  std::optional<JobId> preempted_by;  // this attempt of it had to go for that job
  Time preempted_at;
  std::optional<PlannedStart> planned;  // since version 4: while it is pending
  // Since version 5, of the last attempt.
  std::string partition;            // of those that it may be in; empty: its only one
  std::uint32_t limit_asked_s = 0;  // its time limit is less, as it started sooner so; 0: it is not
  Time suspended_at;                // stands still since then; 0: it does not
  std::int64_t suspended_us = 0;    // stood still before, in all
  std::optional<JobId> lent_to;     // suspended for that job, which may have its cores
  Time kill_at;                     // preempted: its steps are ended then

  bool suspended() const { return suspended_at.us != 0; }
  // When its time is over, were it to go on from now on.
  Time LimitAt(Time now) const {
    std::int64_t stood = suspended_us + (suspended() ? now.us - suspended_at.us : 0);
    return {started.PlusSeconds(time_limit_s).us + stood};
  }
  // When its steps are to be sent its signal, likewise; nullopt: not (any more) in this attempt.
  std::optional<Time> SignalAt(Time now) const;
  // The partition it is in; of one that waits all that it may be in.
  const std::string& PartitionName() const {
    return partition.empty() ? spec->resources.partition : partition;
  }
  std::int64_t priority() const { return std::int64_t{base_priority} - nice; }
  DependencyState DependenciesState() const;
  const Step* FindStep(std::uint32_t number) const;  // of the last attempt; nullptr
  // Whether nothing of its steps is still being started.
  bool AllStarted() const;
  const NodeAllocation* FindNode(std::string_view node) const;
};

// When a pending job has to start so that it ends by its deadline; nullopt: it has none, or does not wait.
std::optional<Time> StartBy(const Job& job);

// "42", or "42_7" for a task of array 42.
std::string JobName(const Job& job);

// Of the tasks that have not started only the first few are jobs (in State::jobs); whenever one of these
// leaves the queue the next is made. The others cost nothing: they are numbers below `tasks`.
struct Array {
  JobId id;
  std::shared_ptr<const JobSpec> spec;
  JobId first_task;  // tasks are first_task … first_task+tasks-1, by ascending index
  std::uint32_t tasks = 0;
  std::uint32_t ended = 0, failed = 0;  // of the tasks; failed: not COMPLETED
  // Since version 4.
  std::uint32_t window = 0;                // so many wait as jobs; 0: all
  std::uint32_t made = 0;                  // tasks before this one are, or were, jobs
  std::set<std::uint32_t> made_early;      // those behind that are: somebody changed one of them
  std::optional<std::uint32_t> cancelled;  // by this uid: the tasks that are no jobs will not be
  Job pattern;                             // what tasks are made from; its id and array are the array's

  // Derived.
  std::uint32_t running = 0;  // tasks that are active
  std::uint32_t kept = 0;     // tasks that are in State::jobs
  std::uint32_t waiting = 0;  // of these, pending

  // Tasks that are to become jobs.
  std::uint32_t unmade() const {
    return cancelled ? 0 : tasks - made - static_cast<std::uint32_t>(made_early.size());
  }
  bool IsMade(std::uint32_t task) const { return task < made || made_early.contains(task); }
  JobId TaskId(std::uint32_t task) const { return {first_task.value + task}; }
};

// Pending jobs in the order in which they are considered.
struct PendingKey {
  std::int64_t minus_priority = 0;
  JobId job;
  auto operator<=>(const PendingKey&) const = default;
};

// Jobs that count together in a QOS: of their own, or of one of their partitions (as in the specification).
struct QosUser {
  std::string qos, partition;
  std::uint32_t uid = 0;
  auto operator<=>(const QosUser&) const = default;
};

struct State {
  std::uint64_t epoch = 0;
  JobId next_job{1};
  Time now;  // of the last event
  std::map<std::string, Node, NodeNameLess> nodes;
  std::map<JobId, Job> jobs;      // live ones, and ended ones until they are forgotten
  std::map<JobId, Array> arrays;  // while a task of theirs is in `jobs`
  std::map<std::string, Account> accounts;
  std::map<AssociationKey, Association> associations;
  std::map<AssociationKey, std::uint64_t> usage;  // of each association, in the unit of usage.h
  UsageClock usage_clock;
  std::map<std::string, Reservation> reservations;  // removed once their last window is over

  // Heterogeneous jobs of which a component is in `jobs`: by the leader's id how many components there are.
  // These are jobs with the ids that follow the leader's, and start together.
  std::map<JobId, std::uint32_t> hets;

  // Seconds, by job, array or heterogeneous job's leader as it was submitted; few have one (lease.h).
  std::map<JobId, std::uint32_t> leases;

  // Derived.
  std::set<PendingKey> pending;
  std::set<JobId> active;
  std::set<JobId> live;                                        // pending or active
  std::set<JobId> lenders;                                     // active, and another job may have their cores
  std::map<AssociationKey, std::int64_t> live_by_association;  // how many jobs are live
  std::map<QosUser, std::int64_t> live_by_qos;
  std::map<std::uint32_t, std::set<std::string>> accounts_of;  // by uid: those in which it has an association
  // Of a job or array: live jobs, and arrays of which not all tasks are made, that depend(ed) on it.
  std::map<JobId, std::set<JobId>> dependents;
  std::set<JobId> unmade;  // arrays of which not all tasks are made

  // Every job with a smaller id has ended for good.
  JobId oldest_live_job() const {
    JobId oldest = live.empty() ? next_job : *live.begin();
    return unmade.empty() ? oldest : std::min(oldest, *unmade.begin());
  }

  const Job* FindJob(JobId id) const;
  // Of a component of a heterogeneous job, and of its leader, all components' ids, the leader's first; of
  // other jobs none.
  std::vector<JobId> ComponentsOf(JobId id) const;
  // Whether it is a component, and not the leader.
  bool FollowsLeader(JobId id) const;
  // Its lease in seconds; 0: none.
  std::uint32_t LeaseOf(const Job& job) const;
  // The array of which this is the id of a task, made or not; nullptr.
  const Array* ArrayOf(JobId task) const;
  // A task that has not been made a job, as the job that it is to be (or is not to be: CANCELLED).
  std::optional<Job> FindUnmade(JobId task) const;
  const Node* FindNode(std::string_view name) const;
  const Association* FindAssociation(const AssociationKey& key) const;
};

// Snapshots. DecodeState makes the derived parts anew. Two states with equal bytes are equal.
std::string EncodeState(const State& state);
Result<State> DecodeState(std::string_view bytes);

}  // namespace slipway::scheduler
