// SPDX-License-Identifier: Apache-2.0
// slipway-sim: the production scheduler under virtual time.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "scheduler/sim/arguments.h"
#include "scheduler/sim/chaos.h"
#include "scheduler/sim/core_load.h"
#include "scheduler/sim/load.h"
#include "scheduler/sim/replay.h"

namespace slipway::scheduler {
namespace {

constexpr char kHelp[] =
    "slipway-sim: run the scheduler's core in a simulated cluster\n"
    "\n"
    "  slipway-sim replay --swf KTH-SP2.swf --procs 100 --policy easy --estimates user --json\n"
    "  slipway-sim replay --swf lublin_256.swf --procs 256 --policy sjf --windows 1981,2756 --window-jobs "
    "1024\n"
    "  slipway-sim load --nodes 10000 --queued 100000 --mix trace\n"
    "  slipway-sim chaos --seed 42            one life of a cluster with faults, checked at every step\n"
    "  slipway-sim chaos --seed 42 --trace    the same, told line by line\n"
    "  slipway-sim chaos --seed 1 --seeds 500 --minutes 4\n"
    "\n"
    "  --seed S     first seed (default 1)       --seeds N    how many (default 1)\n"
    "  --minutes M  virtual minutes with faults in each life (default 4)\n"
    "  --quick      every life's queue counts as a long one (else a third of them)\n"
    "\n"
    "  --swf FILE   a workload trace              --procs P    processors of the machine\n"
    "  --policy P   fcfs, easy[:K], easy-sjbf, conservative, sjf, f1, saf, multifactor[:K] (default easy);\n"
    "               K jobs are planned ahead       --no-backfill  nothing overtakes\n"
    "  --estimates user|exact  what the policy knows of run times (default user)\n"
    "  --windows A,B,…  runs of --window-jobs jobs (default 1024) from the A-th, the B-th, …; figures over "
    "all\n"
    "  --json       one JSON object\n"
    "\n"
    "  --nodes N --queued Q --mix trace|centre|distinct   a cluster and its queue, timed (CPU, medians)\n"
    "  --reservations K (100)   --per-user N (of these; 0: any number)   --rounds R (30)\n"
    "  --fair-share (users' priorities are lanes)\n"
    "  --gantt OUT.svg   a chart of it: cores in use, the queue, jobs on nodes\n"
    "slipway-sim core, which times the whole controller:\n"
    "  --nodes N (10000) --queued Q (100000)   a submission, a changed account or reservation, a snapshot\n";

struct ChaosArguments {
  std::uint64_t seed = 1, seeds = 1;
  std::uint32_t minutes = 4;
  bool quick = false, trace = false;
};

Result<ChaosArguments> ParseChaos(const std::vector<std::string>& words) {
  Arguments given = TRY(Arguments::Parse(words, {"--seed", "--seeds", "--minutes"}, {"--quick", "--trace"}));
  ChaosArguments chaos;
  chaos.seed = TRY(given.Number("--seed", 1, 0, UINT64_MAX / 2));
  chaos.seeds = TRY(given.Number("--seeds", 1, 1, UINT64_MAX / 2));
  chaos.minutes = static_cast<std::uint32_t>(TRY(given.Number("--minutes", 4, 1, 100'000)));
  chaos.quick = given.Has("--quick");
  chaos.trace = given.Has("--trace");
  return chaos;
}

// A CHECK aborts: the command that repeats it must be seen all the same.
char g_repeat[160];
void OnAbort(int) {
  (void)!write(STDERR_FILENO, g_repeat, std::strlen(g_repeat));
  std::signal(SIGABRT, SIG_DFL);
}

void RememberCommand(std::uint64_t seed, const ChaosArguments& arguments) {
  std::string text = Cat("repeat with: slipway-sim chaos --seed ", seed, " --minutes ", arguments.minutes,
                         arguments.quick ? " --quick" : "", " --trace\n");
  std::snprintf(g_repeat, sizeof g_repeat, "%s", text.c_str());
}

int Chaos(const ChaosArguments& arguments) {
  ChaosResult sum;
  std::signal(SIGABRT, OnAbort);
  for (std::uint64_t seed = arguments.seed; seed < arguments.seed + arguments.seeds; ++seed) {
    RememberCommand(seed, arguments);
    ChaosOptions options{seed, arguments.minutes, arguments.quick, nullptr};
    if (arguments.trace) options.trace = [](const std::string& line) { std::puts(line.c_str()); };
    ChaosResult result = RunChaos(options);
    if (result.failure) {
      if (!arguments.trace) {
        for (const std::string& line : result.last) std::fprintf(stderr, "%s\n", line.c_str());
      }
      std::fprintf(stderr, "seed %s: %s\n%s", std::to_string(seed).c_str(), result.failure->c_str(),
                   g_repeat);
      return 1;
    }
    sum.inputs += result.inputs;
    sum.jobs += result.jobs;
    sum.kills += result.kills;
    sum.reboots += result.reboots;
    sum.started += result.started;
    sum.promises += result.promises;
    sum.signals += result.signals;
  }
  std::printf("%s\n", Cat(arguments.seeds, " lives, ", sum.jobs, " jobs accepted and ended once, ",
                          sum.started, " steps started, ", sum.promises, " starts promised, ", sum.signals,
                          " signals before the limit, ", sum.kills, " kills of the controller, ", sum.reboots,
                          " reboots, ", sum.inputs, " inputs: nothing broken")
                          .c_str());
  return 0;
}

int Main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    std::fputs(kHelp, words.empty() ? stderr : stdout);
    return words.empty() ? 2 : 0;
  }
  std::string command = words[0];
  words.erase(words.begin());
  if (command == "replay") return ReplayCommand(words);
  if (command == "load") return LoadCommand(words);
  if (command == "core") return CoreLoadCommand(words);
  if (command != "chaos") {
    std::fprintf(stderr, "slipway-sim: unknown command %s; see slipway-sim --help\n", command.c_str());
    return 2;
  }
  Result<ChaosArguments> arguments = ParseChaos(words);
  if (!arguments) {
    std::fprintf(stderr, "slipway-sim: %s; see slipway-sim --help\n", arguments.error().message.c_str());
    return 2;
  }
  return Chaos(*arguments);
}

}  // namespace
}  // namespace slipway::scheduler

int main(int argc, char** argv) { return slipway::scheduler::Main(argc, argv); }
