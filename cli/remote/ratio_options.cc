// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/ratio_options.h"

#include <algorithm>
#include <optional>

#include "base/os/fd.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway::cli {
namespace {

constexpr std::uint32_t kCountMax = 65'536, kProductMax = 100'000'000;
constexpr std::uint64_t kMiB = 1 << 20, kGpuMemoryMax = std::uint64_t{1} << 46;
constexpr std::size_t kNodefileBytesMax = 1 << 20;

Result<std::uint32_t> CountOf(const Parsed& options, const char* name) {
  return static_cast<std::uint32_t>(
      TRY_CONTEXT(ParseNumber(options.Value(name), 1, kCountMax), Cat("--", name)));
}

Result<std::uint32_t> Product(std::string_view option, std::uint64_t a, std::uint64_t b) {
  if (b != 0 && a > kProductMax / b) return Fail(Code::kInvalidArgument, "--", option, ": makes too many");
  return static_cast<std::uint32_t>(a * b);
}

// How many tasks a node gets, as far as the request says; nothing where it leaves that open.
std::optional<std::uint32_t> TasksOnNode(const v1::Resources& r) {
  if (r.tasks_per_node() > 0) return r.tasks_per_node();
  if (r.tasks() <= 1) return 1;
  bool exact = r.nodes_min() > 0 && r.nodes_max() <= r.nodes_min();
  if (exact && r.tasks() % r.nodes_min() == 0) return r.tasks() / r.nodes_min();
  return std::nullopt;
}

Failure Uneven(std::string_view option, std::string_view instead) {
  return Fail(Code::kInvalidArgument, "--", option,
              ": does not come out even for each task of this request; say ", instead);
}

Result<> ReadTasksPerGpu(const Parsed& options, v1::Resources& r) {
  if (!options.Has("ntasks-per-gpu")) return {};
  const std::uint32_t each = TRY(CountOf(options, "ntasks-per-gpu"));
  auto agrees = [&](std::uint32_t tasks) -> Result<> {
    if (r.tasks() > 0 && r.tasks() != tasks)
      return Fail(Code::kInvalidArgument, "--ntasks-per-gpu=", each, " makes ", tasks,
                  " tasks, --ntasks says ", r.tasks());
    r.set_tasks(tasks);
    return {};
  };
  const std::uint32_t nodes = std::max(r.nodes_min(), 1U);
  if (r.gpus_per_task() > 0) {  // each task has whole GPUs
    if (each != 1 || r.gpus_per_task() != 1)
      return Fail(Code::kInvalidArgument, "--ntasks-per-gpu=", each, " and ", r.gpus_per_task(),
                  " GPU(s) of each task contradict each other");
    return {};
  }
  if (r.nodes_max() > nodes)
    return Uneven("ntasks-per-gpu", "an exact number of nodes, or --ntasks and --gpus-per-node");
  if (r.gpus_per_node() == 0) {
    if (r.tasks() == 0 || r.tasks() % (std::uint64_t{each} * nodes) != 0)
      return Uneven("ntasks-per-gpu", "--gpus and --ntasks");
    each == 1 ? r.set_gpus_per_task(1) : r.set_gpus_per_node(r.tasks() / each / nodes);
  } else if (each == 1) {
    TRY(agrees(TRY(Product("ntasks-per-gpu", r.gpus_per_node(), nodes))));
    r.set_gpus_per_node(0);
    r.set_gpus_per_task(1);
  } else {
    TRY(agrees(
        TRY(Product("ntasks-per-gpu", TRY(Product("ntasks-per-gpu", each, nodes)), r.gpus_per_node()))));
  }
  if (each > 1) r.set_nodes_min(nodes);
  return {};
}

Result<> ReadCoresPerGpu(const Parsed& options, v1::Resources& r) {
  if (!options.Has("cpus-per-gpu")) return {};
  const std::uint32_t each = TRY(CountOf(options, "cpus-per-gpu"));
  if (options.Has("cpus-per-task"))
    return Fail(Code::kInvalidArgument, "--cpus-per-gpu and --cpus-per-task: one of them, please");
  if (r.gpus_per_task() > 0) {
    r.set_cores_per_task(TRY(Product("cpus-per-gpu", each, r.gpus_per_task())));
    return {};
  }
  auto tasks = TasksOnNode(r);
  if (r.gpus_per_node() == 0) return Fail(Code::kInvalidArgument, "--cpus-per-gpu: no GPU is asked for");
  const std::uint32_t cores = TRY(Product("cpus-per-gpu", each, r.gpus_per_node()));
  if (!tasks || cores % *tasks != 0) return Uneven("cpus-per-gpu", "--cpus-per-task");
  r.set_cores_per_task(cores / *tasks);
  return {};
}

Result<> ReadMemoryPerGpu(const Parsed& options, v1::Resources& r) {
  if (!options.Has("mem-per-gpu")) return {};
  const std::uint64_t each = TRY_CONTEXT(ParseBytes(options.Value("mem-per-gpu"), kMiB), "--mem-per-gpu");
  if (each > kGpuMemoryMax) return Fail(Code::kInvalidArgument, "--mem-per-gpu: more than 64 TiB");
  if (options.Has("mem") || options.Has("mem-per-cpu"))
    return Fail(Code::kInvalidArgument, "--mem-per-gpu, --mem-per-cpu, --mem: one of them, please");
  if (r.gpus_per_node() > 0) {
    r.set_memory_bytes_per_node(each * std::min(r.gpus_per_node(), kCountMax));  // more are refused later
  } else if (r.gpus_per_task() > 0) {
    std::uint64_t cores = std::max(r.cores_per_task(), 1U);
    r.set_memory_bytes_per_core((each * std::min(r.gpus_per_task(), kCountMax) + cores - 1) / cores);
  } else {
    return Fail(Code::kInvalidArgument, "--mem-per-gpu: no GPU is asked for");
  }
  return {};
}

// What holds anyway is taken; else the request would have to be another one.
Result<> CheckLeastCores(const Parsed& options, const v1::Resources& r) {
  if (!options.Has("mincpus")) return {};
  const std::uint32_t least = TRY(CountOf(options, "mincpus"));
  std::uint64_t cores = std::uint64_t{TasksOnNode(r).value_or(1)} * std::max(r.cores_per_task(), 1U);
  if (cores >= least) return {};
  return Fail(Code::kInvalidArgument, "--mincpus=", least, ": on a node there may be ", cores,
              " cores of this job; ask for them with --cpus-per-task or --ntasks-per-node");
}

Result<> CheckThreads(const Parsed& options) {
  if (options.Has("ntasks-per-core") && TRY(CountOf(options, "ntasks-per-core")) != 1)
    return Fail(Code::kInvalidArgument, "--ntasks-per-core=", options.Value("ntasks-per-core"),
                ": each rank has cores of its own; only 1 is had");
  if (options.Has("threads-per-core") && TRY(CountOf(options, "threads-per-core")) != 1)
    return Fail(Code::kInvalidArgument, "--threads-per-core=", options.Value("threads-per-core"),
                ": 1 (as --hint=nomultithread) or none, which leaves a core's threads to its rank");
  if (options.Has("threads-per-core") && options.Has("hint") && options.Value("hint") != "nomultithread")
    return Fail(Code::kInvalidArgument, "--threads-per-core and --hint: one of them, please");
  return {};
}

Result<> CheckGpuBind(const Parsed& options) {
  std::string how = options.Value("gpu-bind");
  if (how.starts_with("verbose,")) how = how.substr(8);
  if (how.empty() || how == "none" || how == "closest" || how == "verbose") return {};
  return Fail(Code::kInvalidArgument, "--gpu-bind=", how,
              ": none and closest are taken as the job's GPUs on a node are all of its ranks'; "
              "--gpus-per-task gives each rank GPUs of its own");
}

}  // namespace

std::vector<Option> RatioOptions() {
  auto text = [](std::string name, char letter, std::string value, std::string help) {
    return Option{.name = std::move(name),
                  .letter = letter,
                  .type = Option::kString,
                  .value_name = std::move(value),
                  .help = std::move(help)};
  };
  return {text("nodelist", 'w', "NODES", "all of these are among the nodes: n[1-4],n7"),
          text("exclude", 'x', "NODES", "none of these"),
          text("nodefile", 'F', "FILE", "--nodelist from a file"),
          text("ntasks-per-gpu", 0, "N", "ranks for each GPU"),
          text("cpus-per-gpu", 0, "N", "cores for each GPU"),
          text("mem-per-gpu", 0, "SIZE", "memory for each GPU"),
          text("ntasks-per-core", 0, "1", "each rank has cores of its own: 1"),
          text("threads-per-core", 0, "1", "as --hint=nomultithread"),
          text("mincpus", 0, "N", "cores on each node at least"),
          text("gpu-bind", 0, "none|closest", "the job's GPUs on a node are all of its ranks'")};
}

Result<> ReadRatios(const Parsed& options, v1::Resources& resources) {
  TRY(ReadTasksPerGpu(options, resources));
  TRY(ReadCoresPerGpu(options, resources));
  TRY(ReadMemoryPerGpu(options, resources));
  TRY(CheckLeastCores(options, resources));
  TRY(CheckThreads(options));
  return CheckGpuBind(options);
}

Result<> ReadNodeChoice(const Parsed& options, v1::Resources& resources) {
  std::string nodes = options.Value("nodelist");
  if (options.Has("nodefile")) {
    if (!nodes.empty()) return Fail(Code::kInvalidArgument, "--nodelist and --nodefile: one of them, please");
    nodes = TRY_CONTEXT(ReadFile(options.Value("nodefile"), kNodefileBytesMax), "--nodefile");
    std::ranges::replace_if(
        nodes, [](char c) { return c == '\n' || c == ' ' || c == '\t' || c == '\r'; }, ',');
    std::string names;
    for (const std::string& name : Split(nodes, ','))
      names += name.empty() ? "" : Cat(names.empty() ? "" : ",", name);
    nodes = names;
  }
  for (const char* option : {"nodelist", "nodefile"}) {
    if (options.Has(option) && nodes.empty())
      return Fail(Code::kInvalidArgument, "--", option, ": names no node");
  }
  resources.set_nodelist(nodes);
  resources.set_excluded_nodes(options.Value("exclude"));
  return {};
}

Result<> ReadWholeNodes(const Parsed& options, bool step, v1::Resources& resources) {
  const std::string how = options.Value("exclusive");
  if (!how.empty())
    return Fail(Code::kInvalidArgument, "--exclusive=", how,
                ": nodes are shared with everybody or with nobody; use --exclusive");
  if (options.Has("exclusive") && options.Has("oversubscribe"))
    return Fail(Code::kInvalidArgument, "--exclusive and --oversubscribe contradict each other");
  resources.set_exclusive(options.Has("exclusive"));
  if (!options.Has("mem")) return {};
  const std::uint64_t bytes = TRY_CONTEXT(ParseBytes(options.Value("mem"), kMiB), "--mem");
  resources.set_memory_bytes_per_node(bytes);
  if (bytes == 0 && !step && !options.Has("exclusive"))
    return Fail(
        Code::kInvalidArgument,
        "--mem=0: all memory of a node goes with the whole node here; add --exclusive, or say how much");
  return {};
}

}  // namespace slipway::cli
