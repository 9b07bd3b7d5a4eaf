// SPDX-License-Identifier: Apache-2.0
// A snapshot as it lies on disk, field by field (docs/formats/events.md). What came later than a version
// stands behind the rest, and only where there is some; earlier versions are read by snapshot_versions.cc.
//
// Values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/core/state.h"

namespace slipway::scheduler {

inline constexpr std::uint16_t kSnapshotVersion = 5;

struct NodeImage {
  std::string name;
  NodeFacts facts;
  std::string boot_id, address;
  NodeState state = NodeState::kUnknown;
  bool drained = false;
  std::string reason;
  Time since;
  std::vector<std::string> images;
};
void Fields(auto& archive, IsA<NodeImage> auto& v) {
  archive(v.name, v.facts, v.boot_id, v.address, v.state, v.drained, v.reason, v.since, v.images);
}

struct StepImage {
  std::optional<Command> command;  // none: the job's own
  Step step;
};
void Fields(auto& archive, IsA<StepImage> auto& v) {
  archive(v.command, v.step.number, v.step.cores_per_task, v.step.time_limit_s, v.step.nodes, v.step.state,
          v.step.kill_requested, v.step.exit_code, v.step.reason, v.step.message, v.step.created,
          v.step.started, v.step.ended, v.step.timings);
}

struct JobImage {
  std::uint32_t spec = 0;
  Job job;
  std::vector<StepImage> steps;
};
// `nodes`: the job's, or as they were in an earlier version.
void FieldsV1(auto& archive, IsA<JobImage> auto& v, auto& nodes) {
  archive(v.spec, v.job.id, v.job.array, v.job.array_task, v.job.state, v.job.attempt, nodes, v.steps,
          v.job.next_step, v.job.outcome, v.job.cancelled_by, v.job.submitted, v.job.eligible, v.job.started,
          v.job.running, v.job.ended);
}
void FieldsV2(auto& archive, IsA<JobImage> auto& v, auto& nodes) {
  FieldsV1(archive, v, nodes);
  archive(v.job.hold, v.job.base_priority, v.job.nice, v.job.time_limit_s, v.job.begin, v.job.dependencies,
          v.job.requeue_wanted);
}
void FieldsV3(auto& archive, IsA<JobImage> auto& v) {
  FieldsV2(archive, v, v.job.nodes);
  archive(v.job.billing, v.job.charged_until, v.job.preempted_by, v.job.preempted_at);
}
void FieldsV4(auto& archive, IsA<JobImage> auto& v) {
  FieldsV3(archive, v);
  archive(v.job.planned);
}
void Fields(auto& archive, IsA<JobImage> auto& v) {
  FieldsV4(archive, v);
  archive(v.job.partition, v.job.limit_asked_s, v.job.suspended_at, v.job.suspended_us, v.job.lent_to,
          v.job.kill_at);
}

// What of a job's fields there is before it is made.
struct PatternImage {
  Job job;
};
void Fields(auto& archive, IsA<PatternImage> auto& v) {
  archive(v.job.submitted, v.job.eligible, v.job.ended, v.job.hold, v.job.base_priority, v.job.nice,
          v.job.time_limit_s, v.job.begin, v.job.dependencies);
}

struct ArrayImage {
  JobId id;
  std::uint32_t spec = 0;
  JobId first_task;
  std::uint32_t tasks = 0, ended = 0, failed = 0;
  // Since version 4. Before, all tasks were jobs.
  std::uint32_t window = 0, made = 0;
  std::vector<std::uint32_t> made_early;
  std::optional<std::uint32_t> cancelled;
  std::optional<PatternImage> pattern;  // with a window
};
void FieldsV3(auto& archive, IsA<ArrayImage> auto& v) {
  archive(v.id, v.spec, v.first_task, v.tasks, v.ended, v.failed);
}
void Fields(auto& archive, IsA<ArrayImage> auto& v) {
  FieldsV3(archive, v);
  archive(v.window, v.made, v.made_early, v.cancelled, v.pattern);
}

struct AssociationImage {
  AssociationKey key;
  Association association;
  std::uint64_t usage = 0;
};
void Fields(auto& archive, IsA<AssociationImage> auto& v) { archive(v.key, v.association, v.usage); }

struct StepFactsImage {
  JobId job;
  std::uint32_t step = 0, part = 0;  // part: index into the step's nodes
  StepFacts facts;
};
void Fields(auto& archive, IsA<StepFactsImage> auto& v) { archive(v.job, v.step, v.part, v.facts); }

struct StepMeteredImage {
  JobId job;
  std::uint32_t step = 0, part = 0;
  StepMetered metered;
};
void Fields(auto& archive, IsA<StepMeteredImage> auto& v) { archive(v.job, v.step, v.part, v.metered); }

struct HetImage {
  JobId leader;
  std::uint32_t components = 0;
};
void Fields(auto& archive, IsA<HetImage> auto& v) { archive(v.leader, v.components); }

struct LeaseImage {
  JobId job;
  std::uint32_t lease_s = 0;
};
void Fields(auto& archive, IsA<LeaseImage> auto& v) { archive(v.job, v.lease_s); }
// A job that was signalled in its last attempt, and those of its steps that were.
struct SignalledImage {
  JobId job;
  std::vector<std::uint32_t> steps;
};
void Fields(auto& archive, IsA<SignalledImage> auto& v) { archive(v.job, v.steps); }

struct StateImage {
  std::uint16_t version = kSnapshotVersion;
  std::uint64_t epoch = 0;
  JobId next_job;
  Time now;
  std::vector<JobSpec> specs;
  std::vector<NodeImage> nodes;
  std::vector<ArrayImage> arrays;
  std::vector<JobImage> jobs;
  std::vector<Account> accounts;
  std::vector<AssociationImage> associations;
  UsageClock usage_clock;
  std::vector<Reservation> reservations;
  std::vector<StepFactsImage> step_facts;  // behind the rest, and only where there are some
  std::vector<HetImage> hets;              // behind these, likewise
  std::vector<LeaseImage> leases;          // and behind these
  std::vector<NumberedWishes> wishes;      // and so on, of specs
  std::vector<SignalledImage> signalled;   // with `wishes`
  std::vector<StepMeteredImage> metered;   // behind these
};
// `specs`, `arrays` and `jobs`: the image's, or as they were in an earlier version.
void FieldsV3(auto& archive, IsA<StateImage> auto& v, auto& specs, auto& arrays, auto& jobs) {
  archive(v.version, v.epoch, v.next_job, v.now, specs, v.nodes, arrays, jobs, v.accounts, v.associations,
          v.usage_clock);
}
void Fields(auto& archive, IsA<StateImage> auto& v) {
  FieldsV3(archive, v, v.specs, v.arrays, v.jobs);
  archive(v.reservations);
}

// A snapshot of this version or an earlier one. kInvalidArgument: it is none that this release knows;
// kDataLoss: it contradicts itself.
Result<StateImage> ReadImage(std::string_view bytes);

}  // namespace slipway::scheduler
