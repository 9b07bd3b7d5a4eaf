// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/node_choice.h"

#include <algorithm>

#include "base/text/hostlist.h"
#include "scheduler/core/constraint.h"

namespace slipway::scheduler {
namespace {

template <class... Why>
Failure Refuse(const Why&... why) {
  return Fail(Code::kInvalidArgument, why...);
}

Result<std::vector<std::string>> NamesIn(const std::string& list, std::string_view option) {
  if (list.empty()) return std::vector<std::string>();
  std::vector<std::string> names = TRY_CONTEXT(ExpandHostlist(list), option);
  std::ranges::sort(names, NodeNameLess());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Result<> CheckKnown(const State& state, const std::vector<std::string>& names, std::string_view option) {
  for (const std::string& name : names) {
    if (state.FindNode(name) == nullptr) return Refuse(option, ": there is no node ", name);
  }
  return {};
}

}  // namespace

bool ChosenNodes::IsListed(const std::string& name) const {
  return std::ranges::binary_search(nodes, name, NodeNameLess());
}
bool ChosenNodes::IsExcluded(const std::string& name) const {
  return std::ranges::binary_search(excluded, name, NodeNameLess());
}

Result<ChosenNodes> ExpandChoice(const NodeChoice& choice) {
  return ChosenNodes{TRY(NamesIn(choice.nodes, "--nodelist")), TRY(NamesIn(choice.excluded, "--exclude"))};
}

std::uint32_t NodesMost(const Resources& asked) {
  if (asked.nodes_max > 0) return std::max(asked.nodes_max, asked.nodes_min);
  return asked.nodes_min > 0 || asked.tasks == 0 ? std::max(asked.nodes_min, 1U) : UINT32_MAX;
}

Result<> CompleteChoice(const State& state, Resources& asked) {
  if (!asked.choice.there()) return {};
  const ChosenNodes chosen = TRY(ExpandChoice(*asked.choice));
  TRY(CheckKnown(state, chosen.nodes, "--nodelist"));
  TRY(CheckKnown(state, chosen.excluded, "--exclude"));
  for (const std::string& name : chosen.nodes) {
    if (chosen.IsExcluded(name)) return Refuse("node ", name, " is both in --nodelist and in --exclude");
  }
  asked.choice.Set({CompressHostlist(chosen.nodes), CompressHostlist(chosen.excluded)});
  const auto listed = static_cast<std::uint32_t>(chosen.nodes.size());
  if (listed == 0) return {};
  const bool open = asked.nodes_min == 0 && asked.nodes_max == 0;
  if (asked.tasks > 0 && asked.tasks < listed)
    return Refuse(asked.tasks, " task(s) cannot be on all ", listed, " nodes of --nodelist");
  if (!open && NodesMost(asked) < listed)
    return Refuse("--nodelist names ", listed, " nodes, the job asks for ", NodesMost(asked), " at most");
  if (open && asked.tasks > 0) asked.nodes_max = asked.tasks;
  if (!open && asked.nodes_max == 0) asked.nodes_max = asked.nodes_min;
  asked.nodes_min = std::max(asked.nodes_min, listed);
  if (NodesMost(asked) > listed && (asked.switches > 0 || asked.contiguous))
    return Refuse("--nodelist with more nodes than it names does not go with --switches and --contiguous");
  return {};
}

std::optional<std::string> WhyNeverOn(const State& state, const Site& site, const Resources& r) {
  Result<ChosenNodes> chosen = ExpandChoice(*r.choice);
  Result<Constraint> constraint = ParseConstraint(r.constraint);
  if (!chosen || !constraint) return std::nullopt;
  const std::vector<const Partition*> partitions = site.PartitionsOf(r.partition);
  const std::uint64_t tasks = r.tasks == 0 ? std::max(r.tasks_per_node, 1U) : 1;
  const std::uint64_t cores = tasks * r.cores_per_task;
  const std::uint64_t memory = std::max(r.memory_bytes_per_node, r.memory_bytes_per_core * cores);
  for (const std::string& name : chosen->nodes) {
    const Node* node = state.FindNode(name);
    if (node == nullptr) return Cat("there is no node ", name);
    bool in = partitions.empty() ||
              std::ranges::any_of(partitions, [&](const Partition* one) { return one->Has(name); });
    auto never = [&](const auto&... why) { return Cat("node ", name, ", which --nodelist names, ", why...); };
    const NodeTraits& traits = site.TraitsOf(name);
    if (!in) return never("is not in partition ", r.partition);
    if (!constraint->every.Holds(traits.features)) return never("does not have ", r.constraint);
    if (node->facts.cores < cores) return never("has ", node->facts.cores, " cores, not ", cores);
    if (node->facts.memory_bytes < memory)
      return never("has ", node->facts.memory_bytes, " bytes of memory, not ", memory);
    if (traits.gpu_count() < r.gpus_per_node + r.gpus_per_task * tasks)
      return never("has ", traits.gpu_count(), " GPUs");
  }
  return std::nullopt;
}

std::vector<std::string> NotAvailable(const State& state, const NodeChoice& choice) {
  std::vector<std::string> away;
  Result<ChosenNodes> chosen = ExpandChoice(choice);
  for (const std::string& name : chosen ? chosen->nodes : std::vector<std::string>()) {
    const Node* node = state.FindNode(name);
    if (node == nullptr || node->usable()) continue;
    away.push_back(Cat(name, " is ",
                       node->state == NodeState::kUp     ? "drained"
                       : node->state == NodeState::kDown ? "down"
                                                         : "silent",
                       node->reason.empty() ? "" : Cat(": ", node->reason)));
  }
  return away;
}

}  // namespace slipway::scheduler
