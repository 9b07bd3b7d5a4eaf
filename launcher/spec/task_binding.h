// SPDX-License-Identifier: Apache-2.0
// --cpu-bind, --distribution, --hint and --mem-bind, with the meanings that users of Slurm know
// (docs/binding.md has what differs). They travel in the step's environment, where ranks may read them too;
// what comes of them on a node is agent/binding's to compute.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway {

inline constexpr const char *kCpuBindVariable = "SLIPWAY_CPU_BIND",
                            *kDistributionVariable = "SLIPWAY_DISTRIBUTION", *kHintVariable = "SLIPWAY_HINT",
                            *kMemBindVariable = "SLIPWAY_MEM_BIND";
inline constexpr std::uint32_t kBoundCpusMax = 8192;

struct CpuBind {
  // kAuto: to cores, where the ranks' cores are just those of the step; else all of the step's.
  enum Kind : std::uint8_t { kAuto, kNone, kThreads, kCores, kSockets, kLdoms, kRank, kList };
  Kind kind = kAuto;
  bool verbose = false;
  // kList (map_cpu, mask_cpu): of the ranks of a node in turn, from the start again when it is used up.
  std::vector<std::vector<std::uint32_t>> cpus;
};
// "verbose,cores", "map_cpu:0,4*2,0x8", "mask_cpu:0x3,f0"; empty: kAuto.
Result<CpuBind> ParseCpuBind(std::string_view text);

struct Distribution {
  enum Way : std::uint8_t { kBlock, kCyclic, kFcyclic, kPlane };
  Way nodes = kBlock;       // ranks to nodes: kBlock, kCyclic, kPlane
  std::uint32_t plane = 1;  // of kPlane: so many ranks at a time
  Way sockets = kBlock;     // ranks of a node to sockets: kBlock, kCyclic, kFcyclic
  Way cores = kBlock;       // ranks of a socket to its threads: core by core, or first threads first
  bool operator==(const Distribution&) const = default;
};
// "block", "cyclic:block", "plane=4:cyclic", "*:fcyclic:cyclic"; empty or "*": the default.
Result<Distribution> ParseDistribution(std::string_view text);

enum class BindHint : std::uint8_t { kNone, kComputeBound, kMemoryBound, kMultithread, kNoMultithread };
Result<BindHint> ParseHint(std::string_view text);

// "" or "none", "local"; what else srun knows is refused.
Result<> CheckMemBind(std::string_view text);

// Of an environment's NAME=value entries; empty: not there.
std::string_view StepVariable(const std::vector<std::string>& env, std::string_view name);

// What a step was asked for, from its environment. A value that means nothing (someone set the variable by
// hand) is an error that names the variable.
struct BindRequest {
  CpuBind bind;
  Distribution distribution;
  BindHint hint = BindHint::kNone;
};
Result<BindRequest> BindRequestOf(const std::vector<std::string>& env);
// Of the ranks to nodes alone; block where the variable means nothing.
Distribution DistributionOf(const std::vector<std::string>& env);

// Global ranks by node, for nodes that take so many each.
std::vector<std::vector<std::uint32_t>> DealRanks(const std::vector<std::uint32_t>& tasks,
                                                  const Distribution& how);

}  // namespace slipway
