// SPDX-License-Identifier: Apache-2.0
// What slipway-stepd is told about its part of a step: the user's side, in a sealed memfd that the agent made
// and the broker passed on unread. stepd computes ranks, environment and mounts from it and builds the
// LaunchSpec.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/wire/wire.h"
#include "launcher/spec/launch_spec.h"
#include "launcher/spec/step_id.h"

namespace slipway {

// kPmix, kPmi (PMI-1 and PMI-2): every rank must connect by it, or the step has failed. kAuto: both are
// offered to several ranks that may be no MPI program (`launch -n 4 hostname`); it fails when some connected
// and others left without.
enum class MpiKind : std::uint8_t { kNone = 1, kPmix = 2, kAuto = 3, kPmi = 4 };
constexpr bool OffersPmix(MpiKind mpi) { return mpi == MpiKind::kPmix || mpi == MpiKind::kAuto; }
constexpr bool OffersPmi(MpiKind mpi) { return mpi == MpiKind::kPmi || mpi == MpiKind::kAuto; }

// What a rank may use of the devices that its container has.
struct TaskDevices {
  std::vector<std::string> env;    // NAME=value: which of them its libraries shall see
  std::vector<std::string> nodes;  // paths on the host; other ranks' are not among them
};
void Fields(auto& archive, IsA<TaskDevices> auto& v) { archive(v.env, v.nodes); }

// --tmp, in bytes: travels in the job's environment, so that each of its steps says the same.
inline constexpr const char* kJobTmpVariable = "SLIPWAY_JOB_TMP";

// The user's home is not mounted; in the same way.
inline constexpr const char* kNoHomeVariable = "SLIPWAY_NO_HOME";

struct StepSpec {
  std::uint32_t version = 1;
  StepId step;
  std::string cluster, job_name;
  std::string user, home, shell;
  std::uint32_t uid = 0, gid = 0;

  // Placement, the same on every node of the step.
  std::vector<std::string> nodes;             // names, in rank order of their first rank
  std::vector<std::uint32_t> tasks_per_node;  // as long as nodes
  std::uint32_t node_index = 0;               // ours
  // Global ranks by node; blocks by default. The rank map is computed once, by the controller's plan.
  std::vector<std::vector<std::uint32_t>> ranks;  // ranks[node]
  std::uint32_t cores_per_task = 1;
  std::uint32_t cores = 0;          // that the job has on this node; 0: not known
  std::uint64_t memory_bytes = 0;   // of the job on this node; 0: not limited
  std::vector<std::uint32_t> cpus;  // of the job on this node, as the kernel numbers them; empty: all
  std::vector<std::vector<std::uint32_t>> rank_cpus;  // of these, by rank here; empty: all of them for each
  std::string binding;                                // rank_cpus in words, for reports
  bool tell_binding = false;                          // to the user too (--cpu-bind=verbose)

  // What to run.
  std::vector<std::string> argv;
  std::string script;  // not empty: the batch script, injected as a file and run with `argv` behind it
  std::vector<std::string> env;  // NAME=value: the submitter's, already filtered
  std::string cwd;
  std::uint32_t umask = 022;
  MpiKind mpi = MpiKind::kNone;

  // The image: the digest that the credential names; kind kInherited, or kSquashfuse with the store's path
  // (rootless).
  std::string image_digest;
  std::string image_path;     // rootless only
  std::vector<Mount> mounts;  // user's --bind and what hooks add; the defaults are stepd's own
  bool writable_tmpfs = false;
  std::vector<Hook> hooks;  // of the devices asked for and of the node's admin

  // Standard streams. An empty path streams to the agent (interactive); patterns are expanded (%j %N %t …)
  // already.
  std::string stdin_path, stdout_path, stderr_path;  // stderr empty with stdout given: joined with stdout
  bool append_output = false;
  bool interactive_stdin = false;  // frames of kStdin go to rank 0

  std::uint32_t time_limit_s = 0;
  std::uint32_t kill_grace_s = 5;        // between SIGTERM and SIGKILL
  std::uint32_t wireup_timeout_s = 300;  // until every rank of an MPI step has connected
  bool kill_on_bad_exit = true;          // a rank that fails takes the step down
  // The directory that `slipway` inside a batch script needs (client programs, CA, token socket); empty:
  // none.
  std::string client_dir;
  std::uint32_t agent_uid = 0;  // informational; stepd trusts only the one the broker names
  // By local rank; empty: every rank has all of the container's.
  std::vector<TaskDevices> task_devices;
  // The step's own, gone with it; else the node's.
  bool private_shm = false;             // /dev/shm
  std::uint64_t private_tmp_bytes = 0;  // /tmp and /var/tmp, each so large at most; 0: the node's
  // The job's, which its steps here share: folders as the container's init sees them before it has a root.
  // Not empty: in the place of the step's own and the node's.
  std::string job_tmp, job_shm;
  std::uint32_t folder_timeout_s = 30;  // its folders have to answer within; see FolderProbe
  std::string topology;                 // of an MPI step's node: hwloc's XML; empty: stepd looks for itself
  bool rendezvous = false;              // the job has a batch step, where its steps meet
};
void Fields(auto& archive, IsA<StepSpec> auto& v) {
  archive(v.version, v.step, v.cluster, v.job_name, v.user, v.home, v.shell, v.uid, v.gid, v.nodes,
          v.tasks_per_node, v.node_index, v.ranks, v.cores_per_task, v.cores, v.memory_bytes, v.cpus,
          v.rank_cpus, v.binding, v.tell_binding, v.argv, v.script, v.env, v.cwd, v.umask, v.mpi,
          v.image_digest, v.image_path, v.mounts, v.writable_tmpfs, v.hooks, v.stdin_path, v.stdout_path,
          v.stderr_path, v.append_output, v.interactive_stdin, v.time_limit_s, v.kill_grace_s,
          v.wireup_timeout_s, v.kill_on_bad_exit, v.client_dir, v.agent_uid, v.task_devices, v.private_shm,
          v.private_tmp_bytes, v.job_tmp, v.job_shm, v.folder_timeout_s, v.topology, v.rendezvous);
}

inline constexpr std::size_t kStepSpecBytesMax = 64 << 20;

// With every bound checked: version, node_index, sizes that must agree, each rank once, something to run.
Result<StepSpec> DecodeStepSpec(std::string_view bytes);

}  // namespace slipway
