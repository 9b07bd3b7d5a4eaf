// SPDX-License-Identifier: Apache-2.0
// `slipway`: what needs no cluster is done here, within a millisecond of starting; image files are
// slipway-images' and everything else is slipway-remote's, which carry the libraries for it.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/os/program.h"
#include "cli/front/called_as.h"
#include "cli/front/container_commands.h"
#include "cli/front/instance_commands.h"
#include "cli/front/say.h"
#include "cli/gpu/declared/declared.h"
#include "cli/images/declared/declared.h"
#include "launcher/client/container_run.h"

namespace slipway::cli {
namespace {

constexpr int kNoContainer = 125;

// `apptainer -q pull …` is `slipway pull --quiet …`.
void AskForQuiet(std::vector<std::string>& words) {
  for (const Command& command : ImageFileCommands()) {
    if (command.name != "slipway " + words[0]) continue;
    auto is_quiet = [](const Option& option) { return option.name == "quiet"; };
    if (std::any_of(command.options.begin(), command.options.end(), is_quiet))
      words.insert(words.begin() + 1, "--quiet");
  }
}

int Become(const CalledAs& call, const char* program_name, const std::string& argv0) {
  auto program = FindCompanion(program_name);
  if (!program) {
    std::fprintf(
        stderr, "slipway: exec, run, shell, test and instance work without it, but '%s' needs %s: %s\n",
        call.words.empty() ? "" : call.words[0].c_str(), program_name, program.error().message.c_str());
    return kNoContainer;
  }
  if (call.with_commands && call.name != "slipway") ::setenv(kCalledAsVariable, call.name.c_str(), 1);
  std::vector<char*> argv = {const_cast<char*>(argv0.c_str())};
  for (const std::string& word : call.words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execv(program->c_str(), argv.data());
  std::perror(("slipway: " + *program).c_str());
  return kNoContainer;
}

int Main(const std::vector<std::string>& argv) {
  auto read = ReadCall(argv);
  if (!read) {
    Say(read.error().message);
    return kNoContainer;
  }
  CalledAs& call = *read;
  std::string command = call.with_commands && !call.words.empty() ? call.words[0] : "";
  if (call.quiet) BeQuiet();
  if (IsContainerCommand(command))
    return RunContainerCommand(command, {call.words.begin() + 1, call.words.end()});
  if (command == "instance") return RunInstanceCommand({call.words.begin() + 1, call.words.end()});
  if (IsImageFileCommand(command)) {
    if (call.quiet) AskForQuiet(call.words);
    return Become(call, "slipway-images", argv[0]);
  }
  return Become(call, command == kGpuWord ? "slipway-gpu" : "slipway-remote", argv[0]);
}

}  // namespace
}  // namespace slipway::cli

int main(int argc, char** argv) {
  // A closed standard stream would become the number of the next file that we open, and be handed to the
  // container.
  for (int fd : {0, 1, 2}) {
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd) return 125;
  }
  return slipway::cli::Main(std::vector<std::string>(argv, argv + argc));
}
