// SPDX-License-Identifier: Apache-2.0
// --nodelist and --exclude: nodes by name. A job has all of the first among its nodes, and others where it
// asks for more than these; of the second it has none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduler/core/job_spec.h"
#include "scheduler/core/site.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

struct ChosenNodes {
  std::vector<std::string> nodes, excluded;  // in the order of nodes, each once
  bool IsListed(const std::string& name) const;
  bool IsExcluded(const std::string& name) const;
};
// kInvalidArgument: a list that is malformed.
Result<ChosenNodes> ExpandChoice(const NodeChoice& choice);

// At submission: refuses nodes that there are not, with their names, and what contradicts itself; spells
// equal lists alike; puts the number of nodes in where that is left open.
Result<> CompleteChoice(const State& state, Resources& asked);
// The most nodes that the request may get; UINT32_MAX: any number.
std::uint32_t NodesMost(const Resources& asked);
// Why one of the listed nodes can never be the job's; nullopt: they can, by themselves.
std::optional<std::string> WhyNeverOn(const State& state, const Site& site, const Resources& asked);
// Of the listed nodes those on which nothing starts at present, with why: "n1 is drained: new memory".
std::vector<std::string> NotAvailable(const State& state, const NodeChoice& choice);

}  // namespace slipway::scheduler
