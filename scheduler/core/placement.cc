// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/placement.h"

#include <algorithm>
#include <numeric>

#include "scheduler/core/node_choice.h"
#include "scheduler/plan/spread.h"

namespace slipway::scheduler {
namespace {

struct NodeRange {
  std::uint32_t least, most;
};
NodeRange NodesWanted(const Resources& want) {
  std::uint32_t least = std::max(want.nodes_min, 1U);
  std::uint32_t most = want.nodes_max > 0                      ? want.nodes_max
                       : want.nodes_min > 0 || want.tasks == 0 ? least
                                                               : UINT32_MAX;
  return {least, std::max(least, most)};
}

}  // namespace

Dimensions Dimensions::Of(const Site& site) {
  Dimensions dims;
  dims.gres = site.GresKinds();
  for (const Amount& licence : site.licences) dims.licences.push_back(licence.name);
  return dims;
}

std::optional<std::size_t> Dimensions::OfGres(std::string_view kind) const {
  auto found = std::ranges::find(gres, kind);
  if (found == gres.end()) return std::nullopt;
  return plan::kGpuType + static_cast<std::size_t>(found - gres.begin());
}

std::optional<std::size_t> Dimensions::OfLicence(std::string_view name) const {
  auto found = std::ranges::find(licences, name);
  if (found == licences.end()) return std::nullopt;
  return static_cast<std::size_t>(found - licences.begin());
}

plan::Vec CapacityOf(const NodeFacts& facts, const NodeTraits& traits, const Dimensions& dims) {
  plan::Vec vec;
  vec[plan::kCores] = facts.cores;
  vec[plan::kMemory] = static_cast<std::int64_t>(std::min<std::uint64_t>(facts.memory_bytes, INT64_MAX / 4));
  vec[plan::kToken] = plan::kTokens;
  vec[plan::kGpus] = traits.gpu_count();
  for (const Amount& gpu : traits.gpus) {
    if (auto dim = dims.OfGres(Cat("gpu:", gpu.name))) vec[*dim] += gpu.count;
  }
  for (const Amount& gres : traits.gres) {
    if (auto dim = dims.OfGres(gres.name)) vec[*dim] += gres.count;
  }
  return vec;
}

plan::Vec LicencesOf(const Site& site) {
  plan::Vec vec;
  for (std::size_t i = 0; i < site.licences.size() && i < plan::kDims; ++i) vec[i] = site.licences[i].count;
  return vec;
}

PlannedRequest RequestOf(const Resources& want, const Dimensions& dims, bool uneven) {
  NodeRange range = NodesWanted(want);
  PlannedRequest planned;
  plan::Request& request = planned.request;
  plan::Vec task, licences;
  task[plan::kCores] = want.cores_per_task;
  task[plan::kMemory] = static_cast<std::int64_t>(want.memory_bytes_per_core * want.cores_per_task);
  request.node[plan::kMemory] = static_cast<std::int64_t>(want.memory_bytes_per_node);
  request.node[plan::kToken] = want.exclusive ? plan::kTokens : 1;
  request.node[plan::kGpus] = want.gpus_per_node;
  task[plan::kGpus] = want.gpus_per_task;
  if (auto type = dims.OfGres(Cat("gpu:", want.gpu_type)); type && !want.gpu_type.empty()) {
    request.node[*type] = want.gpus_per_node;
    task[*type] = want.gpus_per_task;
  }
  for (const Amount& gres : want.gres) {
    if (auto dim = dims.OfGres(gres.name)) request.node[*dim] += gres.count;
  }
  for (const Amount& licence : want.licences) {
    if (auto dim = dims.OfLicence(licence.name)) licences[*dim] += licence.count;
  }
  request.licences = licences;
  request.nodes_min = range.least;
  request.nodes_max = want.fewest_nodes ? range.least : range.most;
  if (want.layout == Layout::kSpread) request.spreading = plan::Spreading::kMany;
  if (want.layout == Layout::kPack) request.spreading = plan::Spreading::kFill;
  if (want.tasks == 0) {
    planned.tasks_each = std::max(want.tasks_per_node, 1U);
  } else {
    // Of tasks no number of nodes follows, unless it is given.
    bool least = want.fewest_nodes && want.nodes_min > 0;
    request.nodes_max = least ? range.least : std::min(range.most, want.tasks);
    std::uint32_t each = want.tasks / range.least;
    bool even = range.least == request.nodes_max && want.tasks % range.least == 0;
    bool equal = want.layout != Layout::kPack;
    if (even && equal && !uneven && (want.tasks_per_node == 0 || each <= want.tasks_per_node))
      planned.tasks_each = each;
  }
  if (planned.tasks_each > 0) {
    request.node += task * planned.tasks_each;
  } else {
    request.task = task;
    request.tasks = want.tasks;
    request.tasks_per_node = want.tasks_per_node;
  }
  return planned;
}

FreeNode FreeOn(const Node& node, const NodeTraits& traits) {
  FreeNode free{node.name, node.cores_free, node.memory_free_bytes, CoreSet::FirstN(traits.gpu_count()),
                &traits,   nullptr};
  free.gpus.Remove(node.gpus_allotted);
  return free;
}

namespace {

// The free GPUs of the type (empty: of any).
CoreSet GpusOfType(const FreeNode& node, const std::string& type) {
  CoreSet of_type = node.gpus;
  if (!type.empty() && node.traits != nullptr) {
    std::uint32_t first = 0;
    for (const Amount& kind : node.traits->gpus) {
      CoreSet range = CoreSet::FirstN(first + kind.count);
      range.Remove(CoreSet::FirstN(first));
      if (kind.name != type) of_type.Remove(range);
      first += kind.count;
    }
  }
  return of_type;
}

}  // namespace

NodeAllocation AllotOn(FreeNode& node, const Resources& want, std::uint32_t first_rank, std::uint32_t tasks) {
  NodeAllocation held;
  held.node = node.name;
  held.first_rank = first_rank;
  held.tasks = tasks;
  if (want.exclusive) {
    held.cores = node.cores;
    held.memory_bytes = node.memory_bytes;
    held.gpus = node.gpus;
  } else {
    static const NodeLocality kNothingKnown;
    static const std::vector<std::string> kNoIds;
    CoresAndGpus chosen = ChooseCoresAndGpus(
        node.locality == nullptr ? kNothingKnown : *node.locality,
        node.traits == nullptr ? kNoIds : node.traits->gpu_ids, node.cores, tasks * want.cores_per_task,
        GpusOfType(node, want.gpu_type), want.gpus_per_node + want.gpus_per_task * tasks);
    held.cores = std::move(chosen.cores);
    held.gpus = std::move(chosen.gpus);
    held.memory_bytes = want.memory_bytes_per_node + want.memory_bytes_per_core * held.cores.count();
  }
  CHECK(held.memory_bytes <= node.memory_bytes);
  node.cores.Remove(held.cores);
  node.memory_bytes -= held.memory_bytes;
  node.gpus.Remove(held.gpus);
  return held;
}

namespace {

// As the job itself, on the nodes that the step may use: the listed ones where there are some.
Result<std::vector<StepNode>> AsTheJob(const Job& job, const ChosenNodes& chosen) {
  auto left_out = [&chosen](const NodeAllocation& held) {
    // A released node is dead, and the job goes on without it.
    return held.released || chosen.IsExcluded(held.node) ||
           (!chosen.nodes.empty() && !chosen.IsListed(held.node));
  };
  std::vector<StepNode> parts;
  for (const NodeAllocation& held : job.nodes) {
    if (left_out(held)) continue;
    std::uint32_t rank = held.first_rank;
    for (const NodeAllocation& other : job.nodes) {
      if (left_out(other) && other.first_rank < held.first_rank) rank -= other.tasks;
    }
    parts.push_back({held.node, rank, held.tasks});
  }
  if (!parts.empty()) return parts;
  if (std::ranges::all_of(job.nodes, &NodeAllocation::released))
    return Fail(Code::kFailedPrecondition, "job ", JobName(job), " has no node left that works");
  return Fail(Code::kInvalidArgument, "--exclude leaves no node of job ", JobName(job), " to the step");
}

}  // namespace

Result<std::vector<StepNode>> PlaceStep(const Job& job, const Resources& resources) {
  const ChosenNodes chosen = TRY(ExpandChoice(*resources.choice));
  for (const std::string& name : chosen.nodes) {
    if (job.FindNode(name) == nullptr || chosen.IsExcluded(name))
      return Fail(Code::kInvalidArgument, "--nodelist: node ", name, " is not one of job ", JobName(job),
                  chosen.IsExcluded(name) ? " that --exclude leaves" : "");
  }
  if (resources.nodes_min == 0 && resources.nodes_max == 0 && resources.tasks == 0 &&
      resources.tasks_per_node == 0)
    return AsTheJob(job, chosen);
  if (resources.cores_per_task == 0) return Fail(Code::kInvalidArgument, "a task needs at least one core");
  std::vector<std::size_t> order(job.nodes.size());  // the listed ones first
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_partition(order.begin(), order.end(),
                        [&](std::size_t i) { return chosen.IsListed(job.nodes[i].node); });
  plan::Counts capacity;
  for (std::size_t i : order) {
    const NodeAllocation& held = job.nodes[i];
    const bool none = held.released || chosen.IsExcluded(held.node);
    std::uint32_t tasks = none ? 0 : held.cores.count() / resources.cores_per_task;
    capacity.push_back(resources.tasks_per_node > 0 ? std::min(tasks, resources.tasks_per_node) : tasks);
  }
  NodeRange range = NodesWanted(resources);
  plan::Spread want{resources.tasks,
                    resources.tasks_per_node,
                    range.least,
                    range.most,
                    resources.nodes_min > 0 && resources.layout != Layout::kPack,
                    resources.layout == Layout::kSpread,
                    static_cast<std::uint32_t>(chosen.nodes.size())};
  std::optional<plan::Counts> counts = plan::ChooseCounts(want, capacity);
  if (!counts) {
    return Fail(Code::kInvalidArgument, "job ", JobName(job), " holds ", job.nodes.size(),
                " node(s) with room for ", std::accumulate(capacity.begin(), capacity.end(), 0U),
                " tasks of ", resources.cores_per_task, " core(s); the step asks for more");
  }
  std::vector<std::uint32_t> by_node(job.nodes.size(), 0);
  for (std::size_t i = 0; i < order.size(); ++i) by_node[order[i]] = (*counts)[i];
  std::vector<StepNode> parts;
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < by_node.size(); ++i) {
    if (by_node[i] == 0) continue;
    parts.push_back({job.nodes[i].node, rank, by_node[i]});
    rank += by_node[i];
  }
  return parts;
}

Tres AskedOf(const Resources& r) {
  std::int64_t nodes = std::max(r.nodes_min, 1U);
  std::int64_t tasks = r.tasks > 0 ? std::int64_t{r.tasks} : nodes * std::max(r.tasks_per_node, 1U);
  Tres asked;
  asked.nodes = nodes;
  asked.cores = tasks * r.cores_per_task;
  asked.memory_bytes = nodes * static_cast<std::int64_t>(r.memory_bytes_per_node) +
                       asked.cores * static_cast<std::int64_t>(r.memory_bytes_per_core);
  asked.gpus = nodes * r.gpus_per_node + tasks * r.gpus_per_task;
  return asked;
}

}  // namespace slipway::scheduler
