// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/step_programs.h"

#include "base/os/process.h"
#include "base/text/text.h"
#include "cli/remote/subcommand.h"

namespace slipway::cli {

std::vector<Option> StepProgramOptions() {
  return {{.name = "prolog",
           .type = Option::kString,
           .value_name = "FILE",
           .help = "a program that runs here before the step, with the step's command as its arguments",
           .complete = "file"},
          {.name = "epilog",
           .type = Option::kString,
           .value_name = "FILE",
           .help = "one that runs here after it",
           .complete = "file"}};
}

void RunStepProgram(const Parsed& options, const char* which) {
  std::string program = options.Value(which);
  if (program.empty() || program == "none" || options.Has("test-only")) return;
  auto say = [&](const std::string& what) {
    PrintError(Error{Code::kOk, 0, Cat("slipway: --", which, " ", program, ": ", what)});
  };
  SpawnOptions spawn{.argv = {program}};
  for (const std::string& word : options.positionals()) spawn.argv.push_back(word);
  auto child = Spawn(spawn);
  if (!child) return say(child.error().message);
  auto ended = child->Wait();
  if (!ended) return say(ended.error().message);
  if (ended->signaled()) return say(Cat("ended by signal ", ended->signal()));
  if (ended->exit_code() != 0) say(Cat("exit code ", ended->exit_code()));
}

}  // namespace slipway::cli
