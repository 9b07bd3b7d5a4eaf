// SPDX-License-Identifier: Apache-2.0
// Between what users ask for and what the planner knows: a request as vectors, a node as a vector, and a
// placement as cores by number. Steps inside a job are laid out here too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/core/job_spec.h"
#include "scheduler/core/locality.h"
#include "scheduler/core/site.h"
#include "scheduler/core/state.h"
#include "scheduler/plan/request.h"

namespace slipway::scheduler {

// What the site says the planner's dimensions are: generic resources and licences by position.
struct Dimensions {
  std::vector<std::string> gres;      // plan::kGpuType + i
  std::vector<std::string> licences;  // i, of Request::licences
  static Dimensions Of(const Site& site);
  // nullopt: there is no such kind.
  std::optional<std::size_t> OfGres(std::string_view kind) const;
  std::optional<std::size_t> OfLicence(std::string_view name) const;
};

plan::Vec CapacityOf(const NodeFacts& facts, const NodeTraits& traits, const Dimensions& dims);
plan::Vec LicencesOf(const Site& site);

// Resources as the planner sees them. `tasks_each`: what each node gets where the request is one of equal
// nodes; 0: the planner decides.
struct PlannedRequest {
  plan::Request request;
  std::uint32_t tasks_each = 0;
  int could_run = -1;  // on all known nodes: 0 or 1 once somebody asked
};
// The same on each node, where that is what is asked for; else (or with `uneven`) tasks over any nodes. Which
// nodes may be used is the policy's to add.
PlannedRequest RequestOf(const Resources& resources, const Dimensions& dims, bool uneven = false);

// What is free on a node while several jobs are allotted in one go.
struct FreeNode {
  std::string name;
  CoreSet cores;
  std::uint64_t memory_bytes = 0;
  CoreSet gpus;
  const NodeTraits* traits = nullptr;
  const NodeLocality* locality = nullptr;  // null: not known
};
FreeNode FreeOn(const Node& node, const NodeTraits& traits);
// Takes what the job holds on a node that has room for it: cores and GPUs that hang together where that is
// known, else the lowest free ones.
NodeAllocation AllotOn(FreeNode& node, const Resources& resources, std::uint32_t first_rank,
                       std::uint32_t tasks);

// Tasks of a further step over the nodes of its job (nodes in rank order). kInvalidArgument, with the reason,
// when the allocation is too small. Steps of a job share its resources: what other steps use does not count.
Result<std::vector<StepNode>> PlaceStep(const Job& job, const Resources& resources);

// Whether a job may be submitted at all. Refused with the reason: uid 0, nothing to run, contradictory or
// absurd requests (kInvalidArgument).
Result<> CheckSubmit(const JobSpec& spec);
// Puts in what the user left to the site: partition, time limit, account, QOS, whole nodes where the
// partition gives no others. Refused with the reason: what the site does not have or does not allow.
Result<> CompleteSpec(const Site& site, const State& state, JobSpec& spec);
// Whether it may be in the reservation that it names (none: yes) with that time limit. The reason in front is
// Slurm's.
Result<> CheckReservation(const State& state, const Site& site, const JobSpec& spec,
                          std::uint32_t time_limit_s);
// Whether what it is to wait for is known.
Result<> CheckDependencies(const State& state, const JobSpec& spec);
// Why no set of the known nodes meets the request (kFailedPrecondition).
Failure WhyNever(const State& state, const Site& site, const Resources& resources);

// The least that the job takes of the cluster.
Tres AskedOf(const Resources& resources);

}  // namespace slipway::scheduler
