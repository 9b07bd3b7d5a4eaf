// SPDX-License-Identifier: Apache-2.0
// slipway instance list and stats.
#include <fnmatch.h>

#include <cstdio>

#include "base/text/units.h"
#include "cli/front/instance_commands.h"
#include "cli/front/json_text.h"
#include "cli/show/table.h"
#include "launcher/client/instance_folder.h"
#include "launcher/client/instance_usage.h"

namespace slipway::cli {
namespace {

constexpr const char* kPatternHelp = "only those whose names match, with * and ?";

Result<std::vector<InstanceState>> Matching(const Parsed& parsed) {
  std::vector<InstanceState> all = TRY(ListInstances(TRY(InstancesFolder(CallingUser()))));
  if (parsed.positionals().empty()) return all;
  std::erase_if(all, [&](const InstanceState& state) {
    return ::fnmatch(parsed.positionals()[0].c_str(), state.name.c_str(), 0) != 0;
  });
  return all;
}

// {"instances": […]}, the keys of Apptainer's where it has them.
std::string Json(const std::vector<std::string>& objects) {
  std::string text = "{\"instances\": [";
  for (std::size_t i = 0; i < objects.size(); ++i) text += Cat(i == 0 ? "\n  " : ",\n  ", objects[i]);
  return text + (objects.empty() ? "]}\n" : "\n]}\n");
}

Command DeclareList() {
  return {.name = "slipway instance list",
          .summary = "show your instances on this host",
          .examples = {{"slipway instance list", "the table"},
                       {"slipway instance list --json 'web*'", "for programs"},
                       {"slipway instance list --logs", "where their output is"}},
          .options = {{.name = "json", .letter = 'j', .help = "print JSON"},
                      {.name = "logs", .letter = 'l', .help = "show the files with their output"}},
          .positionals = {{"PATTERN", Positional::kOptional, kPatternHelp}}};
}

std::string ListJson(const InstanceState& state) {
  return Cat("{\"instance\": ", JsonString(state.name), ", \"pid\": ", state.init_pid,
             ", \"img\": ", JsonString(state.image), ", \"ip\": \"\", \"started\": ", state.started_s,
             ", \"logErrPath\": ", JsonString(state.log_err), ", \"logOutPath\": ", JsonString(state.log_out),
             "}");
}

Result<int> List(const Parsed& parsed) {
  std::vector<InstanceState> instances = TRY(Matching(parsed));
  bool logs = parsed.Has("logs");
  Table table(logs ? std::vector<Column>{{"NAME"}, {"PID", true}, {"OUTPUT"}, {"ERRORS"}}
                   : std::vector<Column>{{"NAME"}, {"PID", true}, {"STARTED"}, {"IMAGE"}});
  std::vector<std::string> objects;
  for (const InstanceState& state : instances) {
    objects.push_back(ListJson(state));
    table.Add({state.name, Cat(state.init_pid), logs ? state.log_out : FormatMoment(state.started_s * 1000),
               logs ? state.log_err : state.image});
  }
  std::fputs((parsed.Has("json") ? Json(objects) : table.Text(WantsColour(1))).c_str(), stdout);
  return 0;
}

Command DeclareStats() {
  return {.name = "slipway instance stats",
          .summary = "show what instances use now: processor time, memory, processes",
          .examples = {{"slipway instance stats", "all of yours"}, {"slipway instance stats --json db", ""}},
          .options = {{.name = "json", .letter = 'j', .help = "print JSON"}},
          .positionals = {{"PATTERN", Positional::kOptional, kPatternHelp}},
          .notes =
              "Of the instance's cgroup where it has one (--memory, --cpus, --pids-limit make one), else\n"
              "summed up over its processes."};
}

std::string StatsJson(const InstanceState& state, const InstanceUsage& usage) {
  return Cat("{\"instance\": ", JsonString(state.name), ", \"cpu_us\": ", usage.cpu_us,
             ", \"memory_bytes\": ", usage.memory_bytes,
             ", \"memory_limit_bytes\": ", usage.memory_limit_bytes, ", \"pids\": ", usage.processes,
             ", \"pids_limit\": ", usage.processes_limit,
             ", \"source\": ", usage.of_cgroup ? "\"cgroup\"" : "\"processes\"", "}");
}

Result<int> Stats(const Parsed& parsed) {
  std::vector<InstanceState> instances = TRY(Matching(parsed));
  if (instances.empty() && !parsed.positionals().empty() && !parsed.Has("json"))
    return Fail(Code::kNotFound, "no instance named ", parsed.positionals()[0].substr(0, 80),
                " runs; `slipway instance list` shows those that do");
  Table table({{"NAME"}, {"CPU TIME", true}, {"MEMORY", true}, {"LIMIT", true}, {"PIDS", true}});
  std::vector<std::string> objects;
  for (const InstanceState& state : instances) {
    InstanceUsage usage = UsageOf(state);
    objects.push_back(StatsJson(state, usage));
    table.Add({state.name, FormatMilliseconds(usage.cpu_us / 1000), FormatBytes(usage.memory_bytes),
               usage.memory_limit_bytes != 0 ? FormatBytes(usage.memory_limit_bytes) : "-",
               Cat(usage.processes)});
  }
  std::fputs((parsed.Has("json") ? Json(objects) : table.Text(WantsColour(1))).c_str(), stdout);
  return 0;
}

}  // namespace

const InstanceCommand kInstanceList{"list", DeclareList, List}, kInstanceStats{"stats", DeclareStats, Stats};

}  // namespace slipway::cli
