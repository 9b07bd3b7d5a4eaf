// SPDX-License-Identifier: Apache-2.0
// What a site decides: its partitions, what its nodes have beside cores and memory, licences, qualities of
// service, and how priorities are made. It comes from slipwayd's settings and does not change while the
// controller runs; it is not part of the State, and nothing that Apply does depends on it.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "scheduler/core/job_spec.h"
#include "scheduler/core/limits.h"

namespace slipway::scheduler {

// Of one node, beside what its agent reports.
struct NodeTraits {
  std::set<std::string> features;
  std::uint32_t weight = 1;  // nodes of less weight are used first
  // By type, in the order of their indices: {a100, 2}, {h100, 2} are GPUs 0, 1 and 2, 3. Type "" is allowed.
  std::vector<Amount> gpus;
  std::vector<Amount> gres;          // other countable things
  std::vector<std::string> gpu_ids;  // by number: what its agent calls them; empty: they are the settings'
  std::string gpu_devices;  // CDI kind, such as "nvidia.com/gpu": GPU 3 is "nvidia.com/gpu=3"; empty: none

  std::uint32_t gpu_count() const;
};

enum class PreemptMode : std::uint8_t { kOff, kCancel, kRequeue, kSuspend };

enum class PartitionState : std::uint8_t {
  kUp,
  kDrain,    // takes no new jobs, starts those that wait
  kDown,     // takes new jobs, starts none
  kInactive  // neither
};

struct Partition {
  std::string name;
  bool all_nodes = false;
  std::set<std::string, NodeNameLess> nodes;
  bool is_default = false;
  PartitionState state = PartitionState::kUp;
  std::uint32_t max_time_s = 0, default_time_s = 0;  // 0: none
  std::uint32_t min_nodes = 0, max_nodes = 0;        // of a job; 0: no bound
  std::uint32_t max_cores_per_node = 0;              // of a job; 0: no bound
  std::uint32_t tier = 1;                            // all jobs of a higher tier come first
  std::uint32_t priority = 0;                        // for the partition factor
  bool exclusive = false;                            // jobs get whole nodes
  // Empty: everybody.
  std::set<std::string> allow_accounts, allow_qos;
  std::set<std::uint32_t> allow_groups;
  PreemptMode preempt = PreemptMode::kOff;  // what happens to its jobs when a higher tier needs their nodes
  std::uint32_t preempt_grace_s = 0;        // from SIGTERM to their end then
  std::string qos;                          // whose limits hold for its jobs, beside those of their own

  bool Has(std::string_view node) const { return all_nodes || nodes.contains(node); }
};

struct Qos {
  std::string name;
  std::uint32_t priority = 0;  // for the QOS factor
  Limits limits;
  std::uint32_t usage_milli = 1000;         // what its jobs use counts so many thousandths
  std::set<std::string> preempts;           // QOS whose jobs may be preempted by jobs of this one
  PreemptMode preempt = PreemptMode::kOff;  // what happens to its own jobs then
  std::uint32_t preempt_grace_s = 0;        // from SIGTERM to their end then
};

// What each factor (0 … 1) counts. All 0: the administrator's number less nice decides, then submission.
struct PriorityWeights {
  std::uint32_t age = 0, fair_share = 0, size = 0, partition = 0, qos = 0;
  std::map<std::string, std::uint32_t> tres;  // "cpu", "mem", "gpu": the share of the cluster asked for
  std::uint32_t age_max_s = 7 * 24 * 3600;    // older jobs have the age factor 1
  bool favour_small = false;                  // the size factor is 1 for the smallest job
};

struct UsageRules {
  bool enforce = false;                       // only users with an account may submit
  std::uint32_t half_life_s = 7 * 24 * 3600;  // 0: usage never decays
  std::uint32_t recalculate_s = 300;          // how often usage decays and fair shares are computed
  // What a second of each costs, in thousandths: of a core, a GiB of memory, a GPU, a node.
  std::uint64_t cpu_milli = 1000, mem_milli = 0, gpu_milli = 0, node_milli = 0;
};

struct PlanRules {
  std::string policy = "multifactor";  // plan::MakePolicy
  std::uint32_t reservations = 1;      // so many waiting jobs are planned ahead
  std::uint32_t reservations_per_user = 0, reservations_per_partition = 0;  // of these; 0: no bound
  std::uint32_t grace_s = 60;                // from a time limit to the release of the nodes
  std::uint32_t horizon_s = 30 * 24 * 3600;  // starts beyond are not promised
  std::uint32_t switch_wait_s = 300;         // for so few switches, where a job does not say how long
  // A queue of more jobs than this is planned as a whole only so often; in between only what changed since
  // is looked at.
  std::uint32_t whole_queue_jobs = 1000, whole_queue_every_s = 10;
};

enum class NetworkKind : std::uint8_t { kFlat, kTree, kDragonfly, kBlock, kTorus };

struct Switch {
  std::string name;
  std::vector<std::string> nodes;     // of a leaf (a block, in order)
  std::vector<std::string> switches;  // of one above others
};

// How the nodes hang together.
struct NetworkRules {
  NetworkKind kind = NetworkKind::kFlat;
  std::vector<Switch> switches;                 // tree, dragonfly (groups are switches above leaves), block
  std::array<std::uint32_t, 3> torus{0, 0, 0};  // its sides
  std::vector<std::string> torus_nodes;         // at (0,0,0), (1,0,0), …: x runs fastest
};

struct Site {
  std::vector<Partition> partitions;  // none: every job may use every node
  std::map<std::string, NodeTraits, NodeNameLess> nodes;
  std::vector<Amount> licences;
  std::vector<Qos> qos;
  PriorityWeights weights;
  UsageRules usage;
  PlanRules plan;
  NetworkRules network;
  std::uint32_t default_time_limit_s =
      0;  // of a job that asks for none, where its partition has none; 0: none

  const Partition* FindPartition(std::string_view name) const;
  // Of "a,b" those that there are, in that order.
  std::vector<const Partition*> PartitionsOf(std::string_view names) const;
  const Partition* DefaultPartition() const;  // null: a job has to name one
  const Qos* FindQos(std::string_view name) const;
  const NodeTraits& TraitsOf(std::string_view node) const;
  // Kinds of generic resources other than GPUs of any type, each a dimension of the planner: "gpu:a100",
  // "nic". In alphabetical order.
  std::vector<std::string> GresKinds() const;
  bool HasFeature(std::string_view feature) const;  // on any node
};

// What holds between the parts: names given twice, two default partitions, more kinds than the planner can
// tell apart, unknown policies, QOS that preempt ones that do not exist.
Result<> CheckSite(const Site& site);

// Whether the job may be in its partition, by the partition's limits, its QOS and who may use it; of several
// whether it may be in one. kFailedPrecondition or kPermissionDenied, with Slurm's name of the reason in
// front.
Result<> CheckPartition(const Site& site, const JobSpec& spec, std::uint32_t time_limit_s);

}  // namespace slipway::scheduler
