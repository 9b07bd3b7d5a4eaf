// SPDX-License-Identifier: Apache-2.0
// A request that can never run must not wait for ever: it is refused when it is made, and the refusal says
// what is wrong with it. Bounds on numbers also keep the arithmetic of placement within 64 bits.
#include <algorithm>
#include <set>

#include "scheduler/core/placement.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint32_t kNodesMax = 1'000'000, kTasksMax = 100'000'000, kCoresPerTaskMax = 65'536;
constexpr std::uint32_t kGpusMax = 1024, kAmountMax = 1'000'000;
constexpr std::uint64_t kMemoryMax = std::uint64_t{1} << 46;  // 64 TiB a node or core
constexpr std::size_t kDependenciesMax = 1024;
constexpr std::size_t kCommandBytesMax = 16 << 20;

template <class... Pieces>
Failure Refuse(const Pieces&... pieces) {
  return Fail(Code::kInvalidArgument, pieces...);
}

Result<> CheckAmounts(const std::vector<Amount>& amounts, std::string_view what) {
  std::set<std::string> names;
  for (const Amount& amount : amounts) {
    if (amount.name.empty()) return Refuse(what, " without a name");
    if (amount.count == 0 || amount.count > kAmountMax)
      return Refuse(what, ": 1 to ", kAmountMax, " of ", amount.name);
    if (!names.insert(amount.name).second) return Refuse(what, ": ", amount.name, " is there twice");
  }
  return {};
}

Result<> CheckNumbers(const Resources& r) {
  if (r.cores_per_task == 0) return Refuse("a task needs at least one core");
  if (r.nodes_min > kNodesMax || r.nodes_max > kNodesMax) return Refuse("more than ", kNodesMax, " nodes");
  if (r.tasks > kTasksMax || r.tasks_per_node > kTasksMax) return Refuse("more than ", kTasksMax, " tasks");
  if (r.cores_per_task > kCoresPerTaskMax) return Refuse("more than ", kCoresPerTaskMax, " cores for a task");
  if (std::max(r.memory_bytes_per_node, r.memory_bytes_per_core) > kMemoryMax)
    return Refuse("more than 64 TiB of memory");
  if (r.gpus_per_node > kGpusMax || r.gpus_per_task > kGpusMax)
    return Refuse("more than ", kGpusMax, " GPUs");
  if (r.gpus_per_node > 0 && r.gpus_per_task > 0) return Refuse("GPUs are given both per node and per task");
  if (!r.gpu_type.empty() && r.gpus_per_node == 0 && r.gpus_per_task == 0)
    return Refuse("a type of GPU, but none asked for");
  TRY(CheckAmounts(r.gres, "a generic resource"));
  TRY(CheckAmounts(r.licences, "a licence"));
  if (r.memory_bytes_per_node > 0 && r.memory_bytes_per_core > 0)
    return Refuse("memory is given both per node and per core");
  if (r.nodes_max > 0 && r.nodes_max < r.nodes_min) {
    return Refuse("at least ", r.nodes_min, " nodes but at most ", r.nodes_max);
  }
  if (r.switches > kNodesMax) return Refuse("more than ", kNodesMax, " switches");
  if (r.layout > Layout::kPack) return Refuse("an unknown layout of tasks");
  if (r.layout == Layout::kSpread && r.fewest_nodes)
    return Refuse("tasks are to be spread over as many nodes as there are, and over as few");
  if (r.tasks > 0 && r.nodes_min > r.tasks)
    return Refuse(r.tasks, " task(s) cannot be spread over ", r.nodes_min, " nodes");
  std::uint64_t nodes_most = std::max(r.nodes_min, r.nodes_max);
  if (r.tasks_per_node > 0 && nodes_most > 0 && r.tasks > nodes_most * r.tasks_per_node) {
    return Refuse(r.tasks, " tasks with ", r.tasks_per_node, " on a node do not fit on ", nodes_most,
                  " node(s)");
  }
  return {};
}

Result<> CheckSignal(const JobSpec& spec) {
  constexpr std::uint8_t kSignalMax = 64;
  if (spec.signal.number > kSignalMax) return Refuse("--signal: there is no signal ", spec.signal.number);
  if (spec.signal.batch_only && spec.interactive)
    return Refuse("--signal=B: is for the batch script, and a launch has none");
  return {};
}

Result<> CheckCommand(const JobSpec& spec) {
  const Command& command = spec.command;
  if (spec.interactive && command.argv.empty()) return Refuse("no command to run");
  if (!spec.interactive && command.script.empty() && command.argv.empty())
    return Refuse("neither a script nor a command");
  std::size_t bytes = command.script.size();
  for (const std::string& word : command.argv) bytes += word.size();
  for (const std::string& entry : command.env) bytes += entry.size();
  if (bytes > kCommandBytesMax)
    return Refuse("script, arguments and environment are ", bytes, " bytes, more than 16 MiB");
  return {};
}

Result<> CheckArray(const JobSpec& spec) {
  if (!spec.array) return {};
  const std::vector<std::uint32_t>& indices = spec.array->indices;
  if (spec.interactive) return Refuse("an interactive job cannot be an array");
  if (indices.empty()) return Refuse("an array without tasks");
  if (indices.size() > kArrayTasksMax) return Refuse("an array of more than ", kArrayTasksMax, " tasks");
  if (std::ranges::adjacent_find(indices, std::greater_equal<>()) != indices.end()) {
    return Refuse("array indices must ascend without duplicates");
  }
  return {};
}

}  // namespace

Result<> CheckSubmit(const JobSpec& spec) {
  if (spec.user.uid == 0) return Fail(Code::kPermissionDenied, "jobs of uid 0 are refused");
  TRY(CheckCommand(spec));
  TRY(CheckArray(spec));
  TRY(CheckSignal(spec));
  TRY(CheckNumbers(spec.resources));
  return {};
}

Result<> CheckDependencies(const State& state, const JobSpec& spec) {
  if (spec.dependencies.size() > kDependenciesMax)
    return Refuse("more than ", kDependenciesMax, " dependencies");
  for (const Dependency& dependency : spec.dependencies) {
    if (dependency.kind == DependencyKind::kSingleton) continue;
    bool array = state.arrays.contains(dependency.on);
    if (state.FollowsLeader(dependency.on))
      return Refuse("dependency: ", dependency.on.value, " is a component of job ",
                    state.ComponentsOf(dependency.on).front().value, ": name that one");
    // A job can only wait for earlier ones, so that there are no cycles.
    if (!array && state.FindJob(dependency.on) == nullptr && !state.FindUnmade(dependency.on)) {
      bool gone = dependency.on < state.next_job && dependency.on.value != 0;
      return Fail(Code::kNotFound, "dependency: there is no job ", dependency.on.value,
                  gone ? " any more; it ended long ago" : "");
    }
    if (dependency.kind == DependencyKind::kAfterCorr && !(array && spec.array))
      return Refuse("dependency: aftercorr needs an array on both sides");
  }
  return {};
}

}  // namespace slipway::scheduler
