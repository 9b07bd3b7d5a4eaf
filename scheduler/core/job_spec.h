// SPDX-License-Identifier: Apache-2.0
// What a user asked for, as the controller keeps it: complete (the job must start after its submitter has
// gone), already authenticated (user) and pinned (image digest). Sizes in bytes, durations in seconds; 0 or
// empty means "not given" unless a line says otherwise. Stored inside events: fields are only ever added at
// the end, with a new event version.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/wire/wire.h"
#include "scheduler/core/ids.h"
#include "scheduler/core/rarely.h"

namespace slipway::scheduler {

struct User {
  std::uint32_t uid = 0, gid = 0;  // uid 0 is refused
  std::vector<std::uint32_t> groups;
  std::string name, home, shell;
};
void Fields(auto& archive, IsA<User> auto& v) { archive(v.uid, v.gid, v.groups, v.name, v.home, v.shell); }

struct ImageRef {
  std::string reference;    // as the user wrote it
  std::string digest;       // what will be mounted; empty: no image, the host's own root
  std::uint64_t bytes = 0;  // of the file that nodes fetch
};
void Fields(auto& archive, IsA<ImageRef> auto& v) { archive(v.reference, v.digest, v.bytes); }

// So many of something that has a name: a kind of GPU, a generic resource, a licence.
struct Amount {
  std::string name;
  std::uint32_t count = 0;
  auto operator<=>(const Amount&) const = default;
};
void Fields(auto& archive, IsA<Amount> auto& v) { archive(v.name, v.count); }

// How tasks are laid out where the request leaves it open.
enum class Layout : std::uint8_t {
  kDefault = 0,  // evenly over a given number of nodes; else on as few nodes as hold them
  kSpread = 1,   // on as many nodes as there are, evenly
  kPack = 2      // node after node is filled
};

// Nodes by name, as host lists: those that must be among the job's, and those that must not.
struct NodeChoice {
  std::string nodes, excluded;
  auto operator<=>(const NodeChoice&) const = default;
};

// The shape of a request. Placement reads nothing else, so two jobs with equal Resources fit or do not fit
// together.
//   -N only: that many nodes, tasks_per_node (or one) tasks on each.   -n only: as few nodes as hold the
//   tasks. both: the tasks spread evenly over the nodes, one at least on each; tasks_per_node then is an
//   upper bound.
struct Resources {
  std::uint32_t nodes_min = 0, nodes_max = 0;  // 0: not given; nodes_max 0 with nodes_min given: equal to it
  std::uint32_t tasks = 0;
  std::uint32_t cores_per_task = 1;
  std::uint32_t tasks_per_node = 0;
  std::uint64_t memory_bytes_per_node =
      0;  // at most one of the two memory fields; neither: memory is not reserved
  std::uint64_t memory_bytes_per_core = 0;
  bool exclusive = false;  // whole nodes: all their cores and memory
  // Since version 3.
  std::string partition;                               // empty: none is configured, every node may be used
  std::string constraint;                              // features: constraint.h
  std::uint32_t gpus_per_node = 0, gpus_per_task = 0;  // at most one of the two
  std::string gpu_type;                                // empty: of any type
  std::vector<Amount> gres;                            // of each node; by name, each once
  std::vector<Amount> licences;                        // of the whole job; by name, each once
  // Since version 4.
  std::string reservation;  // the job runs in it; empty: outside of all
  // Since version 5. `partition` may name several, with ',' between: the one that starts the job first.
  std::uint32_t switches = 0;  // at most so many leaf switches (blocks) of the site's topology; 0: any number
  bool contiguous = false;     // nodes that follow one another in the topology's order
  Layout layout = Layout::kDefault;
  bool fewest_nodes = false;  // of a range of nodes the least
  Rarely<NodeChoice> choice;
  auto operator<=>(const Resources&) const = default;
};
void Fields(auto& archive, IsA<Resources> auto& v) {
  archive(v.nodes_min, v.nodes_max, v.tasks, v.cores_per_task, v.tasks_per_node, v.memory_bytes_per_node,
          v.memory_bytes_per_core, v.exclusive);
}

void FieldsV3(auto& archive, IsA<Resources> auto& v) {
  archive(v.partition, v.constraint, v.gpus_per_node, v.gpus_per_task, v.gpu_type, v.gres, v.licences);
}

void FieldsV4(auto& archive, IsA<Resources> auto& v) { archive(v.reservation); }

void FieldsV5(auto& archive, IsA<Resources> auto& v) {
  archive(v.switches, v.contiguous, v.layout, v.fewest_nodes);
}

enum class MpiKind : std::uint8_t {
  kNone = 1,
  kPmix = 2,
  kAuto = 3,
  kPmi = 4
};  // kAuto: offered, not demanded

// What runs in a step, and how. Of the job's own step (the batch script, or the command of a `launch` that
// made its own allocation) it is part of the JobSpec; of a further step it comes with CreateStep.
struct Command {
  std::vector<std::string> argv;  // arguments behind `script` when that is given
  std::string script;             // the batch script's text
  std::vector<std::string> env;   // NAME=value
  std::string cwd;
  std::uint32_t umask = 022;
  ImageRef image;                   // of a further step: empty digest means the job's image
  std::vector<std::string> mounts;  // "source[:target[:ro|rw]]", as given to --bind
  bool writable_tmpfs = false;
  MpiKind mpi = MpiKind::kNone;
  std::string stdin_path, stdout_path,
      stderr_path;  // patterns (%j %N %t …), not expanded; empty: default or stream
  bool append_output = false;
  bool stream = false;           // output goes to the client that launched it, its input to rank 0
  bool kill_on_bad_exit = true;  // the first node that fails takes the step down everywhere
  std::string
      request_id;  // made by the client: the same one submitted again by its user is the same job or step
  std::vector<std::string> devices;  // CDI names; what they are is each node's to say
};
void Fields(auto& archive, IsA<Command> auto& v) {
  archive(v.argv, v.script, v.env, v.cwd, v.umask, v.image, v.mounts, v.writable_tmpfs, v.mpi, v.stdin_path,
          v.stdout_path, v.stderr_path, v.append_output, v.stream, v.kill_on_bad_exit, v.request_id,
          v.devices);
}

// --array: one submission, one event; its tasks become jobs of their own with the ids that follow the
// array's.
struct ArrayRequest {
  std::vector<std::uint32_t> indices;  // ascending, no duplicates, 1…kArrayTasksMax of them
  std::uint32_t max_running = 0;       // `%50`; 0: no bound
};
void Fields(auto& archive, IsA<ArrayRequest> auto& v) { archive(v.indices, v.max_running); }
inline constexpr std::uint32_t kArrayTasksMax = 100'000;

// Before the job may start, another one (or an array: all its tasks) must have …
enum class DependencyKind : std::uint8_t {
  kAfter = 1,       // … started, or ended without starting
  kAfterAny = 2,    // … ended
  kAfterOk = 3,     // … ended with exit code 0
  kAfterNotOk = 4,  // … ended otherwise
  kAfterCorr = 5,   // the task of the same index: ended with exit code 0
  kSingleton = 6    // all earlier jobs of this user and name: ended
};
struct Dependency {
  DependencyKind kind = DependencyKind::kAfterAny;
  JobId on;                   // 0 with kSingleton
  std::uint32_t delay_s = 0;  // kAfter: so long after the start
  bool operator==(const Dependency&) const = default;
};
void Fields(auto& archive, IsA<Dependency> auto& v) { archive(v.kind, v.on, v.delay_s); }

// Sent so long before the time limit: to all steps but the batch script, or to that alone.
struct LimitSignal {
  std::uint8_t number = 0;  // 0: none is sent
  bool batch_only = false;
  std::uint16_t seconds = 0;
  bool operator==(const LimitSignal&) const = default;
};
void Fields(auto& archive, IsA<LimitSignal> auto& v) { archive(v.number, v.batch_only, v.seconds); }

struct JobSpec {
  std::string name;
  User user;
  Resources resources;
  std::uint32_t time_limit_s = 0;  // 0: none
  std::int32_t priority = 0;       // higher first
  std::int32_t nice = 0;           // taken off the priority
  Time begin;                      // not before
  std::optional<ArrayRequest> array;
  Command command;
  // The allocation was made for one `slipway launch`: `command` is step 0, on all nodes and tasks, and the
  // job ends with it. Otherwise `command` is the batch step: one task on the first node.
  bool interactive = false;
  bool requeue = false;  // start again (next attempt) when a node fails
  LimitSignal signal;
  std::string comment;
  // Since version 2.
  std::vector<Dependency> dependencies;
  bool any_dependency = false;  // one of them is enough; else all
  bool hold = false;            // waits until it is released
  // Since version 3. The account is empty in jobs of before: their use is nobody's.
  std::string account, qos;
  Time deadline;  // is to have ended by then; 0: none
  // Since version 5.
  std::uint32_t time_min_s = 0;     // may be started with as little, where that starts it now; 0: no
  std::uint32_t switch_wait_s = 0;  // resources.switches is given up after so long; 0: the site's default
};
void FieldsV1(auto& archive, IsA<JobSpec> auto& v) {
  archive(v.name, v.user, v.resources, v.time_limit_s, v.priority, v.nice, v.begin, v.array, v.command,
          v.interactive, v.requeue, v.comment);
}
void FieldsV2(auto& archive, IsA<JobSpec> auto& v) {
  FieldsV1(archive, v);
  archive(v.dependencies, v.any_dependency, v.hold);
}
void FieldsV3(auto& archive, IsA<JobSpec> auto& v) {
  FieldsV2(archive, v);
  FieldsV3(archive, v.resources);
  archive(v.account, v.qos, v.deadline);
}
void FieldsV4(auto& archive, IsA<JobSpec> auto& v) {
  FieldsV3(archive, v);
  FieldsV4(archive, v.resources);
}
void Fields(auto& archive, IsA<JobSpec> auto& v) {
  FieldsV4(archive, v);
  FieldsV5(archive, v.resources);
  archive(v.time_min_s, v.switch_wait_s);
}
// What is kept behind a record, and only where it is used (docs/formats/events.md).
struct LateWishes {
  LimitSignal signal;
  NodeChoice choice;
  bool operator==(const LateWishes&) const = default;
};
void Fields(auto& archive, IsA<LateWishes> auto& v) { archive(v.signal, v.choice.nodes, v.choice.excluded); }
inline LateWishes LateWishesOf(const JobSpec& spec) { return {spec.signal, *spec.resources.choice}; }
inline void TakeLateWishes(LateWishes wishes, JobSpec& spec) {
  spec.signal = wishes.signal;
  spec.resources.choice.Set(std::move(wishes.choice));
}
// Those of a sequence of specifications that have some, by their place in it.
struct NumberedWishes {
  std::uint32_t number = 0;
  LateWishes wishes;
};
void Fields(auto& archive, IsA<NumberedWishes> auto& v) { archive(v.number, v.wishes); }
inline std::vector<NumberedWishes> LateWishesIn(std::span<const JobSpec> specs) {
  std::vector<NumberedWishes> late;
  for (std::uint32_t i = 0; i < specs.size(); ++i) {
    if (LateWishes wishes = LateWishesOf(specs[i]); wishes != LateWishes{})
      late.push_back({i, std::move(wishes)});
  }
  return late;
}
// false: one is of a specification that is not there.
inline bool GiveLateWishes(const std::vector<NumberedWishes>& late, std::span<JobSpec> specs) {
  for (const NumberedWishes& one : late) {
    if (one.number >= specs.size()) return false;
    TakeLateWishes(one.wishes, specs[one.number]);
  }
  return true;
}

struct JobSpecV1 {
  JobSpec spec;
};
void Fields(auto& archive, IsA<JobSpecV1> auto& v) { FieldsV1(archive, v.spec); }
struct JobSpecV2 {
  JobSpec spec;
};
void Fields(auto& archive, IsA<JobSpecV2> auto& v) { FieldsV2(archive, v.spec); }
struct JobSpecV3 {
  JobSpec spec;
};
void Fields(auto& archive, IsA<JobSpecV3> auto& v) { FieldsV3(archive, v.spec); }
struct JobSpecV4 {
  JobSpec spec;
};
void Fields(auto& archive, IsA<JobSpecV4> auto& v) { FieldsV4(archive, v.spec); }

// The number of the step that `command` becomes.
inline std::uint32_t PrimaryStep(const JobSpec& spec) { return spec.interactive ? 0 : kBatchStep; }

}  // namespace slipway::scheduler
