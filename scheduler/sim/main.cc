// SPDX-License-Identifier: Apache-2.0
// slipway-sim: the production scheduler under virtual time.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/text/units.h"
#include "scheduler/sim/chaos.h"

namespace slipway::scheduler {
namespace {

constexpr char kHelp[] =
    "slipway-sim: run the scheduler's core in a simulated cluster\n"
    "\n"
    "  slipway-sim chaos --seed 42            one life of a cluster with faults, checked at every step\n"
    "  slipway-sim chaos --seed 42 --trace    the same, told line by line\n"
    "  slipway-sim chaos --seed 1 --seeds 500 --minutes 4\n"
    "\n"
    "  --seed S     first seed (default 1)       --seeds N    how many (default 1)\n"
    "  --minutes M  virtual minutes with faults in each life (default 4)\n";

struct Arguments {
  std::uint64_t seed = 1, seeds = 1;
  std::uint32_t minutes = 4;
  bool trace = false;
};

Result<Arguments> Parse(const std::vector<std::string>& words) {
  Arguments arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--trace") {
      arguments.trace = true;
      continue;
    }
    if (words[i] != "--seed" && words[i] != "--seeds" && words[i] != "--minutes") {
      return Fail(Code::kInvalidArgument, "unknown option ", words[i]);
    }
    if (i + 1 == words.size()) return Fail(Code::kInvalidArgument, words[i], " needs a number");
    const std::string& name = words[i++];
    std::uint64_t value = TRY_CONTEXT(
        ParseNumber(words[i], name == "--seed" ? 0 : 1, name == "--minutes" ? 100'000 : UINT64_MAX / 2),
        name);
    if (name == "--seed") arguments.seed = value;
    if (name == "--seeds") arguments.seeds = value;
    if (name == "--minutes") arguments.minutes = static_cast<std::uint32_t>(value);
  }
  return arguments;
}

// A CHECK aborts: the command that repeats it must be seen all the same.
char g_repeat[160];
void OnAbort(int) {
  (void)!write(STDERR_FILENO, g_repeat, std::strlen(g_repeat));
  std::signal(SIGABRT, SIG_DFL);
}

void RememberCommand(std::uint64_t seed, std::uint32_t minutes) {
  std::string text =
      Cat("repeat with: slipway-sim chaos --seed ", seed, " --minutes ", minutes, " --trace\n");
  std::snprintf(g_repeat, sizeof g_repeat, "%s", text.c_str());
}

int Chaos(const Arguments& arguments) {
  ChaosResult sum;
  std::signal(SIGABRT, OnAbort);
  for (std::uint64_t seed = arguments.seed; seed < arguments.seed + arguments.seeds; ++seed) {
    RememberCommand(seed, arguments.minutes);
    ChaosOptions options{seed, arguments.minutes, nullptr};
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
  }
  std::printf("%s\n", Cat(arguments.seeds, " lives, ", sum.jobs, " jobs accepted and ended once, ",
                          sum.started, " steps started, ", sum.kills, " kills of the controller, ",
                          sum.reboots, " reboots, ", sum.inputs, " inputs: nothing broken")
                          .c_str());
  return 0;
}

int Main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    std::fputs(kHelp, words.empty() ? stderr : stdout);
    return words.empty() ? 2 : 0;
  }
  if (words[0] == "replay" || words[0] == "load") {
    std::fprintf(stderr, "slipway-sim: %s is not implemented yet; chaos is\n", words[0].c_str());
    return 2;
  }
  if (words[0] != "chaos") {
    std::fprintf(stderr, "slipway-sim: unknown command %s; see slipway-sim --help\n", words[0].c_str());
    return 2;
  }
  words.erase(words.begin());
  Result<Arguments> arguments = Parse(words);
  if (!arguments) {
    std::fprintf(stderr, "slipway-sim: %s; see slipway-sim --help\n", arguments.error().message.c_str());
    return 2;
  }
  return Chaos(*arguments);
}

}  // namespace
}  // namespace slipway::scheduler

int main(int argc, char** argv) { return slipway::scheduler::Main(argc, argv); }
