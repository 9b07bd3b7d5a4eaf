// SPDX-License-Identifier: Apache-2.0
// Which cores and GPUs of a node a job gets, of those that are free: of one NUMA domain where one has enough,
// else of as few as can be, cores beside the GPUs. What hangs where is the agents' word; it is not part of
// the State: what was given is in the events, and a node that nothing is known of gives its lowest numbers.
//
// Whether a job fits does not depend on it: a node with room in two domains is used as well.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "scheduler/core/core_set.h"
#include "scheduler/core/ids.h"

namespace slipway::scheduler {

struct NodeLocality {
  std::map<std::uint32_t, CoreSet> cores;     // by NUMA domain
  std::map<std::string, std::uint32_t> gpus;  // by what the agent calls a GPU: its NUMA domain
  bool operator==(const NodeLocality&) const = default;
};
using Localities = std::map<std::string, NodeLocality, NodeNameLess>;

struct CoresAndGpus {
  CoreSet cores, gpus;
};
// `cores_wanted` of `cores` and `gpus_wanted` of `gpus`, of which there are as many. `gpu_ids`: by number
// what the agent calls them; empty: their domains are not known.
CoresAndGpus ChooseCoresAndGpus(const NodeLocality& locality, const std::vector<std::string>& gpu_ids,
                                CoreSet cores, std::uint32_t cores_wanted, CoreSet gpus,
                                std::uint32_t gpus_wanted);

}  // namespace slipway::scheduler
