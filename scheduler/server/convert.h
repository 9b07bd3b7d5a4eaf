// SPDX-License-Identifier: Apache-2.0
// Protobuf stops here: the core has its own types, and this is the only place where the two meet. What comes
// from users and nodes is checked while it is turned into core types; what goes out is only copied.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result/result.h"
#include "launcher/spec/credential.h"
#include "scheduler/core/controller.h"
#include "scheduler/server/discovered_gpus.h"

namespace slipway::v1 {
class ChangeJobRequest;
class CreateStepRequest;
class Explanation;
class Job;
class JobSpec;
class ListAccountsReply;
class Node;
class Partition;
class Register;
class Reservation;
class ReservationSpec;
class StepKey;
class NodeCondition;
class StepReport;
class ToNode;
}  // namespace slipway::v1

namespace slipway::scheduler {

// ---- From users

// All but the user, the image's digest, the priority's legitimacy and what the site adds. kInvalidArgument
// with one line for a person.
Result<JobSpec> JobSpecOf(const v1::JobSpec& spec);
// Client, job, command, resources and time limit; not who asks.
Result<CreateStep> CreateStepOf(const v1::CreateStepRequest& request);
// "0-9", "1-100:2%4", "3,5".
Result<ArrayRequest> ParseArray(std::string_view text);

// "afterok:12:13,afterany:14", "after:12+5?singleton"; into spec's dependencies.
Result<> ReadDependencies(std::string_view text, JobSpec& spec);
// All but whether he may.
Result<JobUpdate> JobUpdateOf(const v1::ChangeJobRequest& request, const Requester& by);
// What is not there is as the state has it, or (of a new one) begins now.
ReservationRequest ReservationRequestOf(const State& state, const v1::ReservationSpec& in,
                                        std::vector<ReservationUser> users, Time now, bool create);

// ---- To users

struct JobView {
  bool full = false;  // the owner's and the administrator's view: paths and comment
  std::string pending_reason;
  std::optional<PlannedStart> planned;
  Time now;
  std::uint32_t lease_s = 0;
};
void ToProto(const Job& job, const JobView& view, v1::Job* out);
// An array as one: counts in `reason`, ended when every task has.
void ToProto(const State& state, const Array& array, const JobView& view, v1::Job* out);
// Its tasks that are no jobs yet, as one pending job.
void UnmadeToProto(const Array& array, const JobView& view, v1::Job* out);
void ToProto(const Node& node, const State& state, const Site& site, Time now, v1::Node* out);
void ToProto(const State& state, const Reservation& reservation, Time now, v1::Reservation* out);
void ToProto(const Partition& partition, const State& state, v1::Partition* out);
// Shares and usage as `fair` has them.
void ToProto(const State& state, const FairTree& fair, v1::ListAccountsReply* out);
void ToProto(const State& state, const Explanation& explanation, v1::Explanation* out);

// ---- From nodes

StepId StepIdOf(const v1::StepKey& key);
void ToProto(const StepId& id, v1::StepKey* out);
// `session` and the checked node name are the caller's. kInvalidArgument for facts that cannot be.
Result<RegisterNode> RegisterOf(const v1::Register& message);
// What of it is true for as long as the node is there and is not the core's: cannot, numa_nodes, processors;
// bounded.
std::shared_ptr<const v1::Node> PresentFactsOf(const v1::Register& message);
void AddPresentFacts(const v1::Node& facts, v1::Node* out);
// Nothing for a report that only says how far a start has come (STAGING).
std::optional<StepReport> ReportOf(const v1::StepReport& message);
ReportCondition ConditionOf(const v1::NodeCondition& message);

// ---- To nodes

// What only the daemon knows of a launch.
// The GPUs that an agent says it found. kInvalidArgument: too many, or ids that are not one's own.
Result<std::vector<DiscoveredGpu>> GpusOf(const v1::Node& facts);
// Of facts that RegisterOf and GpusOf take. What does not fit the node is left out.
NodeLocality LocalityOf(const v1::Node& facts);

struct LaunchContext {
  std::string cluster_id, cluster_name;
  const State* state = nullptr;  // addresses of the nodes
  const Site* site = nullptr;    // names of their GPUs
};
struct CredentialTerms {
  std::string cluster_id;
  std::uint32_t processes_per_core_max = 0;  // 0: as many processes as the node gives
  std::vector<std::string> job_cgroup;       // CgroupShare::site
  const Node* node = nullptr;                // the receiver; null: no processors are bound
  const v1::Node* present = nullptr;         // its present facts; null: no memory nodes are
};
// An error only where job_cgroup means nothing.
Result<LaunchCredential> CredentialOf(const LaunchStep& launch, const CredentialTerms& terms);
void ToProto(const LaunchStep& launch, const LaunchContext& context, const SignedCredential& credential,
             v1::ToNode* out);

// Replaces %j %A %a %x %u %% in a file pattern, %N when `node` is given and %t when there is one `rank`;
// makes the path absolute. What a replacement brings in is not a pattern again. Empty stays empty.
struct PathNames {
  JobId job, array;
  std::uint32_t array_task = 0;
  std::string node;
  std::optional<std::uint32_t> rank;
};
std::string ExpandPath(const std::string& pattern, const JobSpec& spec, const std::string& cwd,
                       const PathNames& names);

}  // namespace slipway::scheduler
