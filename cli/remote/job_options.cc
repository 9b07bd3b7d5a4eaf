// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/job_options.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <set>

#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/pyxis/pyxis.h"
#include "cli/remote/ratio_options.h"
#include "cli/remote/site_options.h"
#include "launcher/spec/resource_limits.h"
#include "launcher/spec/step_spec.h"
#include "launcher/spec/task_binding.h"

namespace slipway::cli {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

Result<std::uint32_t> Count(const Parsed& options, const char* name) {
  if (!options.Has(name)) return 0;
  return static_cast<std::uint32_t>(
      TRY_CONTEXT(ParseNumber(options.Value(name), 1, 10'000'000), Cat("--", name)));
}

Result<> ReadNodes(const Parsed& options, v1::Resources& resources) {
  if (!options.Has("nodes")) return {};
  std::string text = options.Value("nodes");
  auto dash = text.find('-');
  auto low = TRY_CONTEXT(ParseNumber(std::string_view(text).substr(0, dash), 1, 1'000'000), "--nodes");
  resources.set_nodes_min(static_cast<std::uint32_t>(low));
  if (dash == std::string::npos) return {};
  auto high = TRY_CONTEXT(ParseNumber(std::string_view(text).substr(dash + 1), low, 1'000'000), "--nodes");
  resources.set_nodes_max(static_cast<std::uint32_t>(high));
  return {};
}

// SRC[:DEST[:ro|rw]]: a relative source is the caller's.
std::string Absolute(const std::string& path) {
  if (path.starts_with("/")) return path;
  char* cwd = ::getcwd(nullptr, 0);
  std::string base = cwd == nullptr ? "" : cwd;
  ::free(cwd);
  return path == "." || path.empty() ? base : Cat(base, "/", path.starts_with("./") ? path.substr(2) : path);
}

Result<> ReadBinds(const Parsed& options, v1::Program& program) {
  for (const std::string& value : options.List("bind")) {
    for (const std::string& one : Split(value, ',')) {
      if (one.empty() || one[0] == ':')
        return Fail(Code::kInvalidArgument, "--bind ", value, ": SRC[:DEST[:ro|rw]] is wanted");
      program.add_binds(Absolute(one));
    }
  }
  return {};
}

Result<v1::Mpi> ReadMpi(const std::string& text) {
  if (text.empty() || text == "auto") return v1::MPI_UNSPECIFIED;
  if (text == "none") return v1::MPI_NONE;
  if (text == "pmix" || text.starts_with("pmix_v")) return v1::MPI_PMIX;
  if (text == "pmi1" || text == "pmi2" || text == "pmi") return v1::MPI_PMI;
  return Fail(Code::kInvalidArgument, "--mpi=", text, ": must be auto, pmix, pmi2, pmi1 or none");
}

// What only the step's own processes need to know travels in its environment.
Result<> DescribeMpi(const Parsed& options, v1::Program& program) {
  program.set_mpi(TRY(ReadMpi(options.Value("mpi"))));
  if (options.Has("mpi-report")) program.add_env("SLIPWAY_MPI_REPORT=1");
  if (options.Has("mpi-pmi-port")) {
    if (program.mpi() == v1::MPI_NONE || program.mpi() == v1::MPI_PMIX)
      return Fail(Code::kInvalidArgument, "--mpi-pmi-port is of PMI: with --mpi=auto, pmi1 or pmi2");
    program.add_env("SLIPWAY_MPI_PMI_PORT=1");
  }
  if (options.Has("spawn-image")) program.add_env(Cat("SLIPWAY_SPAWN_IMAGES=", options.Value("spawn-image")));
  if (!options.Has("mpi-timeout")) return {};
  auto limit = TRY_CONTEXT(ParseNumber(options.Value("mpi-timeout"), 0, 86400), "--mpi-timeout");
  program.add_env(Cat("SLIPWAY_MPI_TIMEOUT=", limit));
  return {};
}

// So does how ranks are dealt out and bound; what means nothing is refused here, where the user is.
Result<> DescribeBinding(const Parsed& options, v1::Program& program) {
  auto put = [&](const char* variable, const std::string& value, const auto& checked) -> Result<> {
    if (!checked) return Fail(Code::kInvalidArgument, "--", checked.error().message);
    program.add_env(Cat(variable, "=", value));
    return {};
  };
  auto add = [&](const char* option, const char* variable, const auto& checked) -> Result<> {
    return options.Has(option) ? put(variable, options.Value(option), checked) : Result<>();
  };
  std::string bind = options.Value("cpu-bind"), hint = options.Value("hint");
  if (options.Has("threads-per-core")) hint = "nomultithread";
  TRY(add("cpu-bind", kCpuBindVariable, ParseCpuBind(bind)));
  if (std::string ranks = DistributionOf(options).of_ranks; !ranks.empty())
    TRY(put(kDistributionVariable, ranks, ParseDistribution(ranks)));
  if (!hint.empty()) TRY(put(kHintVariable, hint, ParseHint(hint)));
  TRY(add("mem-bind", kMemBindVariable, CheckMemBind(options.Value("mem-bind"))));
  TRY(BindRequestOf({Cat(kCpuBindVariable, "=", bind), Cat(kHintVariable, "=", hint)}));
  if (options.Has("tmp"))
    program.add_env(Cat(kJobTmpVariable, "=", TRY_CONTEXT(ParseBytes(options.Value("tmp"), kMiB), "--tmp")));
  if (!options.Has("propagate")) return {};
  std::string limits = TRY_CONTEXT(OwnResourceLimits(options.Value("propagate")), "--propagate");
  if (!limits.empty()) program.add_env(Cat(kResourceLimitsVariable, "=", limits));
  return {};
}

// A variable of the container's own beats what its image says.
Result<> DescribeContainer(const Parsed& options, v1::Program& program) {
  PyxisWishes wishes = TRY(PyxisWishesOf(options));
  for (const std::string& mount : wishes.mounts) program.add_binds(Absolute(mount));
  if (!wishes.cwd.empty()) program.set_cwd(wishes.cwd);
  if (wishes.writable) program.set_writable_tmpfs(true);
  if (wishes.no_home) program.add_env(Cat(kNoHomeVariable, "=1"));
  for (const std::string& name : wishes.variables) {
    const char* value = ::getenv(name.c_str());
    if (value != nullptr) program.add_env(Cat("SLIPWAYENV_", name, "=", value));
  }
  return {};
}

}  // namespace

std::vector<Option> ResourceOptions() {
  std::vector<Option> options = {
      {.name = "image",
       .type = Option::kString,
       .value_name = "IMAGE",
       .help = "a SIF, a directory, a name of the catalogue, or an address: docker://…, oras://…",
       .complete = "image"},
      {.name = "nodes",
       .letter = 'N',
       .type = Option::kString,
       .value_name = "MIN[-MAX]",
       .help = "how many nodes"},
      {.name = "ntasks", .letter = 'n', .type = Option::kString, .value_name = "N", .help = "ranks in all"},
      {.name = "cpus-per-task",
       .letter = 'c',
       .type = Option::kString,
       .value_name = "N",
       .help = "cores of each rank"},
      {.name = "ntasks-per-node", .type = Option::kString, .value_name = "N", .help = "ranks on each node"},
      {.name = "mem",
       .type = Option::kString,
       .value_name = "SIZE",
       .help = "memory per node, in MiB without a suffix (K, M, G, T)"},
      {.name = "tmp",
       .type = Option::kString,
       .value_name = "SIZE",
       .help = "a /tmp of the job's own on each node, so large, in MiB without a suffix (K, M, G, T)"},
      {.name = "mem-per-cpu", .type = Option::kString, .value_name = "SIZE", .help = "memory per core"},
      {.name = "time",
       .letter = 't',
       .type = Option::kString,
       .value_name = "LIMIT",
       .help = "time limit: minutes, H:MM:SS, D-HH, 90s, 2h"},
      {.name = "exclusive", .type = Option::kMaybe, .value_name = "", .help = "no other job on the nodes"},
      {.name = "bind",
       .type = Option::kList,
       .value_name = "SRC[:DEST[:ro]]",
       .help = "a host path that the container sees",
       .complete = "file"},
      {.name = "device",
       .type = Option::kList,
       .value_name = "VENDOR/CLASS=NAME",
       .help = "a device of the node by its CDI name (\"all\" for every one of its kind)"},
      {.name = "cpu-bind",
       .type = Option::kString,
       .value_name = "[verbose,]HOW",
       .help = "what each rank is bound to: none, threads, cores, sockets, ldoms, rank, map_cpu:LIST, "
               "mask_cpu:LIST",
       .complete = "none|threads|cores|sockets|ldoms|rank|verbose,cores"},
      {.name = "hint",
       .type = Option::kString,
       .value_name = "KIND",
       .help = "bind as suits: compute_bound, memory_bound, multithread or nomultithread",
       .complete = "compute_bound|memory_bound|multithread|nomultithread"},
      {.name = "mem-bind",
       .type = Option::kString,
       .value_name = "HOW",
       .help = "local: no memory but that beside the job's cores; none",
       .complete = "local|none"},
      {.name = "propagate",
       .type = Option::kString,
       .value_name = "LIMITS",
       .help = "limits of this shell that the ranks get: ALL, NONE, or AS, CORE, NOFILE, STACK …, and NICE",
       .complete = "ALL|NONE|CORE|NOFILE|STACK"},
      {.name = "mpi",
       .type = Option::kString,
       .value_name = "KIND",
       .help = "how ranks find one another: auto, pmix, pmi2, pmi1 or none",
       .complete = "auto|pmix|pmi2|pmi1|none"},
      {.name = "mpi-report", .help = "say what was set for MPI, and why"},
      {.name = "mpi-pmi-port",
       .help = "ranks call their PMI at a port, not by an open descriptor: for what starts its MPI program "
               "through something that closes descriptors"},
      {.name = "mpi-timeout",
       .type = Option::kString,
       .value_name = "SECONDS",
       .help = "how long ranks may take to find one another; 0: for ever; default: 300"},
      {.name = "spawn-image",
       .type = Option::kString,
       .value_name = "IMAGE,...",
       .help = "images that MPI_Comm_spawn may start steps of; the first unless it names another"},
      {.name = "output",
       .letter = 'o',
       .type = Option::kString,
       .value_name = "PATTERN",
       .help = "file of the standard output (%j job, %A_%a array, %N node, %t rank)",
       .complete = "file"},
      {.name = "error",
       .letter = 'e',
       .type = Option::kString,
       .value_name = "PATTERN",
       .help = "file of the standard error; default: with the output",
       .complete = "file"},
      {.name = "input",
       .letter = 'i',
       .type = Option::kString,
       .value_name = "FILE",
       .help = "file of the standard input",
       .complete = "file"},
      {.name = "chdir",
       .letter = 'D',
       .type = Option::kString,
       .value_name = "DIR",
       .help = "working directory; default: this one",
       .complete = "dir"},
      {.name = "writable-tmpfs",
       .help = "let the container write into its image; it is forgotten at the end"},
      {.name = "job-name",
       .letter = 'J',
       .type = Option::kString,
       .value_name = "NAME",
       .help = "how lists call it"},
  };
  std::vector<Option> site = SiteOptions();
  options.insert(options.end(), site.begin(), site.end());
  std::vector<Option> pyxis = PyxisOptions();
  options.insert(options.end(), pyxis.begin(), pyxis.end());
  std::vector<Option> ratios = RatioOptions();
  options.insert(options.end(), ratios.begin(), ratios.end());
  return options;
}

Result<v1::Resources> ResourcesOf(const Parsed& options, bool step) {
  v1::Resources resources;
  TRY(ReadNodes(options, resources));
  resources.set_tasks(TRY(Count(options, "ntasks")));
  resources.set_cores_per_task(TRY(Count(options, "cpus-per-task")));
  resources.set_tasks_per_node(TRY(Count(options, "ntasks-per-node")));
  TRY(ReadWholeNodes(options, step, resources));
  if (options.Has("mem-per-cpu"))
    resources.set_memory_bytes_per_core(
        TRY_CONTEXT(ParseBytes(options.Value("mem-per-cpu"), kMiB), "--mem-per-cpu"));
  TRY(ReadSiteResources(options, resources));
  TRY(ReadRatios(options, resources));
  TRY(ReadNodeChoice(options, resources));
  if (options.Has("time")) {
    auto limit = TRY_CONTEXT(ParseTimeLimit(options.Value("time")), "--time");
    if (limit.count() <= 0)
      return Fail(Code::kInvalidArgument, "--time ", options.Value("time"), ": must be longer than nothing");
    resources.set_time_limit_s(static_cast<std::uint32_t>(std::min<long long>(limit.count(), UINT32_MAX)));
  }
  return resources;
}

Result<void> DescribeProgram(const Parsed& options, v1::Program& program) {
  TRY(ReadBinds(options, program));
  for (const std::string& device : options.List("device")) program.add_devices(device);
  TRY(DescribeMpi(options, program));
  TRY(DescribeBinding(options, program));
  program.set_cwd(Absolute(options.Value("chdir")));
  mode_t mask = ::umask(0);
  ::umask(mask);
  program.set_umask(mask);
  program.set_writable_tmpfs(options.Has("writable-tmpfs"));
  program.set_stdout_path(options.Value("output"));
  program.set_stderr_path(options.Value("error"));
  program.set_stdin_path(options.Value("input"));
  TRY(DescribeContainer(options, program));
  return {};
}

std::vector<std::string> OwnEnvironment() {
  std::vector<std::string> all;
  for (char** at = environ; *at != nullptr; ++at) all.emplace_back(*at);
  return all;
}

Result<std::vector<std::string>> ExportedEnvironment(const std::vector<std::string>& environment,
                                                     const std::string& exports, bool in_allocation) {
  static const std::set<std::string, std::less<>> kNever = {"_",
                                                            "PWD",
                                                            "OLDPWD",
                                                            "SHLVL",
                                                            "SLIPWAY_CALLED_AS",
                                                            "SLIPWAY_CONTEXT",
                                                            "SLIPWAY_TERMINAL",
                                                            "SLIPWAY_ALLOC"};
  static const std::set<std::string, std::less<>> kHostOnly = {
      "PATH",     "LD_LIBRARY_PATH", "LD_PRELOAD",      "LD_AUDIT",
      "HOSTNAME", "TMPDIR",          "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"};
  bool all = exports.empty();
  std::vector<std::string> result, given;
  for (const std::string& word : exports.empty() ? std::vector<std::string>{} : Split(exports, ',')) {
    if (word == "ALL") {
      all = true;
    } else if (word != "NONE" && !word.empty()) {
      given.push_back(word);
    }
  }
  auto name_of = [](const std::string& entry) { return entry.substr(0, entry.find('=')); };
  for (const std::string& entry : environment) {
    std::string name = name_of(entry);
    if (!all || name.empty() || entry.find('=') == std::string::npos) continue;
    if (kNever.contains(name) || (!in_allocation && kHostOnly.contains(name))) continue;
    result.push_back(entry);
  }
  for (const std::string& word : given) {
    std::string name = name_of(word), value = word;
    if (name.empty())
      return Fail(Code::kInvalidArgument, "--export ", exports, ": NAME or NAME=value is wanted");
    if (word.find('=') == std::string::npos) {
      auto at = std::find_if(environment.begin(), environment.end(),
                             [&](const std::string& entry) { return name_of(entry) == name; });
      if (at == environment.end()) continue;
      value = *at;
    }
    std::erase_if(result, [&](const std::string& entry) { return name_of(entry) == name; });
    result.push_back(value);
  }
  return result;
}

namespace {

Result<std::int64_t> ParseDelay(std::string text) {
  static const std::pair<const char*, std::int64_t> kUnits[] = {
      {"seconds", 1}, {"second", 1},   {"minutes", 60}, {"minute", 60},    {"hours", 3600},
      {"hour", 3600}, {"days", 86400}, {"day", 86400},  {"weeks", 604800}, {"week", 604800}};
  std::int64_t unit = 1;
  for (auto& [name, seconds] : kUnits) {
    if (!text.ends_with(name)) continue;
    unit = seconds;
    text.resize(text.size() - std::string_view(name).size());
    break;
  }
  return static_cast<std::int64_t>(TRY(ParseNumber(text, 0, 1'000'000'000))) * unit * 1000;
}

}  // namespace

Result<std::int64_t> ParseMoment(const std::string& text, std::int64_t now_ms, const char* option) {
  if (text == "now") return now_ms;
  if (text.starts_with("now+")) return now_ms + TRY_CONTEXT(ParseDelay(text.substr(4)), option);
  std::time_t now = now_ms / 1000;
  for (const char* form : {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d", "%H:%M:%S", "%H:%M"}) {
    std::tm moment{};
    ::localtime_r(&now, &moment);
    moment.tm_sec = 0;
    moment.tm_isdst = -1;
    if (form == std::string_view("%Y-%m-%d")) moment.tm_hour = moment.tm_min = 0;
    const char* end = ::strptime(text.c_str(), form, &moment);
    if (end == nullptr || *end != '\0') continue;
    std::time_t begin = std::mktime(&moment);
    if (form[1] == 'H' && begin < now) begin += 86400;  // a time of day that has passed means tomorrow's
    return static_cast<std::int64_t>(begin) * 1000;
  }
  return Fail(Code::kInvalidArgument, option, " ", text, ": must be now+2hours, 16:30 or 2026-11-23T16:30");
}

}  // namespace slipway::cli
