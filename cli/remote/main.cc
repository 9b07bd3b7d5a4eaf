// SPDX-License-Identifier: Apache-2.0
// slipway-remote: every command that talks to a cluster, or needs more libraries than the small front may
// link.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "api/lock_checks.h"
#include "base/os/program.h"
#include "base/text/text.h"
#include "cli/front/container_commands.h"
#include "cli/front/instance_commands.h"
#include "cli/gpu/declared/declared.h"
#include "cli/habits/declared/declared.h"
#include "cli/habits/habits.h"
#include "cli/images/declared/declared.h"
#include "cli/remote/subcommand.h"

namespace slipway::cli {
namespace {

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

int ListCommands() {
  std::string text = "usage: slipway COMMAND [OPTION…]\n\ncommands:\n";
  for (const Command& command : ContainerCommands()) text += SummaryLine(command);
  for (const Command& command : InstanceCommands()) text += SummaryLine(command);
  for (const Subcommand* subcommand : AllSubcommands()) {
    if (!subcommand->hidden) text += SummaryLine(subcommand->declare());
  }
  for (const Command& command : ImageFileCommands()) text += SummaryLine(command);
  for (const Command& command : GpuCommands()) text += SummaryLine(command);
  Print(text + "\n`slipway COMMAND --help` says more.\n");
  return 0;
}

// They are another program's: this one is linked statically, and their libraries cannot be.
int Become(const char* companion, const std::vector<std::string>& words) {
  auto program = FindCompanion(companion);
  if (!program) return UsageExit(program.error());
  std::vector<char*> argv = {program->data()};
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execv(program->c_str(), argv.data());
  PrintError(ErrnoErrorOf(errno, "start", *program));
  return kOwnFailure;
}

int Main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (auto habit = std::ranges::find(Habits(), BaseName(argv[0]), &Habit::name); habit != Habits().end()) {
    ::setenv("SLIPWAY_CALLED_AS", habit->name.c_str(), 1);
    bool version = words.size() == 1 && (words[0] == "--version" || words[0] == "-V");
    version ? void(words = {"version"}) : void(words.insert(words.begin(), habit->means));
  }
  while (words.size() >= 2 && words[0] == "--context") {
    ::setenv("SLIPWAY_CONTEXT", words[1].c_str(), 1);
    words.erase(words.begin(), words.begin() + 2);
  }
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") return ListCommands();
  if (words[0] == "--version") words[0] = "version";
  if (IsImageFileCommand(words[0])) return Become("slipway-images", words);
  if (words[0] == kGpuWord) return Become("slipway-gpu", words);
  SwitchOffLockChecks();
  std::vector<std::string> also = ImageFileWords();
  also.push_back(kGpuWord);
  return Dispatch(words, CommandsWithHabits(), also);
}

}  // namespace
}  // namespace slipway::cli

int main(int argc, char** argv) { return slipway::cli::Main(argc, argv); }
