// SPDX-License-Identifier: Apache-2.0
// slipway instance stop: asked first, killed when the patience is over; then nothing of it is left but its
// logs.
#include <fnmatch.h>

#include <csignal>
#include <cstdio>
#include <cstring>

#include "base/text/units.h"
#include "cli/front/instance_commands.h"
#include "launcher/client/instance_folder.h"
#include "launcher/client/task_client.h"

namespace slipway::cli {
namespace {

Command Declare() {
  return {.name = "slipway instance stop",
          .summary = "end instances",
          .examples = {{"slipway instance stop db", "SIGTERM, and after 10 s SIGKILL"},
                       {"slipway instance stop 'web*'", "those whose names match"},
                       {"slipway instance stop --all", "every one of yours on this host"},
                       {"slipway instance stop -s INT -t 60 db", ""}},
          .options = {{.name = "all", .letter = 'a', .help = "all of them"},
                      {.name = "signal",
                       .letter = 's',
                       .type = Option::kString,
                       .value_name = "SIGNAL",
                       .help = "what asks it to end (TERM)",
                       .complete = "TERM|INT|HUP|KILL"},
                      {.name = "timeout",
                       .letter = 't',
                       .type = Option::kString,
                       .value_name = "SECONDS",
                       .help = "how long it may take before it is killed (10)"},
                      {.name = "force", .letter = 'F', .help = "kill it at once"}},
          .positionals = {{"NAME", Positional::kMany, "an instance, or a pattern with * and ?"}}};
}

Result<int> SignalNumber(std::string text) {
  if (text.starts_with("SIG")) text.erase(0, 3);
  for (int number = 1; number < 32; ++number) {
    const char* name = ::sigabbrev_np(number);
    if (name != nullptr && text == name) return number;
  }
  auto number = ParseNumber(text, 1, 64);
  if (number) return static_cast<int>(*number);
  return Fail(Code::kInvalidArgument, "slipway instance stop: --signal '", text.substr(0, 32),
              "' is no signal; TERM, SIGTERM and 15 are the same");
}

Result<InstanceStop> HowToStop(const Parsed& parsed) {
  InstanceStop stop;
  stop.signal_number = TRY(SignalNumber(parsed.Value("signal", "TERM")));
  stop.grace_s = static_cast<std::uint32_t>(
      TRY_CONTEXT(ParseNumber(parsed.Value("timeout", "10"), 0, 86400), "slipway instance stop: --timeout"));
  if (parsed.Has("force") || stop.signal_number == SIGKILL) stop.signal_number = stop.grace_s = 0;
  return stop;
}

Result<std::vector<InstanceState>> Meant(const Parsed& parsed, const std::string& parent) {
  std::vector<InstanceState> all = TRY(ListInstances(parent));
  if (parsed.Has("all")) return all;
  if (parsed.positionals().empty())
    return Fail(Code::kInvalidArgument, "slipway instance stop: which? A NAME or --all must follow");
  std::vector<InstanceState> meant;
  for (const std::string& word : parsed.positionals()) {
    bool found = false;
    for (const InstanceState& state : all) {
      if (::fnmatch(word.c_str(), state.name.c_str(), 0) != 0) continue;
      meant.push_back(state);
      found = true;
    }
    if (!found)
      return Fail(Code::kNotFound, "no instance named ", word.substr(0, 80),
                  " runs; `slipway instance list` shows those that do");
  }
  return meant;
}

Result<int> Stop(const Parsed& parsed) {
  InstanceStop stop = TRY(HowToStop(parsed));
  std::string parent = TRY(InstancesFolder(CallingUser()));
  int code = 0;
  for (const InstanceState& state : TRY(Meant(parsed, parent))) {
    auto stopped = StopInstance(InstanceSocket(Cat(parent, "/", state.name)), stop);
    // One that has just gone is what was wanted.
    bool gone = !stopped && !FindInstance(parent, state.name);
    if (stopped || gone) {
      std::fprintf(stderr, "slipway: instance %s has ended\n", state.name.c_str());
      continue;
    }
    std::fprintf(stderr, "slipway: instance %s: %s\n", state.name.c_str(), stopped.error().message.c_str());
    code = 125;
  }
  return code;
}

}  // namespace

const InstanceCommand kInstanceStop{"stop", Declare, Stop};

}  // namespace slipway::cli
