// SPDX-License-Identifier: Apache-2.0
// slipway-remote: every command that talks to a cluster, or needs more libraries than the small front may
// link.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <map>

#include "base/text/text.h"
#include "cli/front/container_commands.h"
#include "cli/front/instance_commands.h"
#include "cli/remote/subcommand.h"

namespace slipway::cli {
namespace {

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Habits: the names of Slurm's commands are ours with the same options.
const std::map<std::string, std::string, std::less<>> kAliases = {
    {"sbatch", "submit"}, {"squeue", "jobs"}, {"scancel", "cancel"}, {"srun", "launch"}};

int ListCommands() {
  std::string text = "usage: slipway COMMAND [OPTION…]\n\ncommands:\n";
  auto add = [&](const Command& command) {
    std::string name = command.name.substr(command.name.find(' ') + 1);
    text += Cat("  ", name, std::string(name.size() < 14 ? 14 - name.size() : 1, ' '), command.summary, "\n");
  };
  for (const Command& command : ContainerCommands()) add(command);
  for (const Command& command : InstanceCommands()) add(command);
  for (const Subcommand* subcommand : AllSubcommands()) {
    if (!subcommand->hidden) add(subcommand->declare());
  }
  Print(text + "\n`slipway COMMAND --help` says more.\n");
  return 0;
}

const Subcommand* Find(const std::vector<std::string>& words, std::size_t& used) {
  const Subcommand* best = nullptr;
  for (const Subcommand* subcommand : AllSubcommands()) {
    std::size_t n = subcommand->words.size();
    if (n > words.size() || (best != nullptr && n <= best->words.size())) continue;
    if (std::equal(subcommand->words.begin(), subcommand->words.end(), words.begin())) best = subcommand;
  }
  used = best == nullptr ? 0 : best->words.size();
  return best;
}

int UnknownCommand(const std::vector<std::string>& words) {
  std::vector<std::string> known;
  std::string inner;  // "up, down, status" of `dev`
  for (const Subcommand* subcommand : AllSubcommands()) {
    if (subcommand->hidden) continue;
    known.push_back(subcommand->words[0]);
    if (subcommand->words[0] == words[0] && subcommand->words.size() > 1)
      inner += (inner.empty() ? "" : ", ") + subcommand->words[1];
  }
  if (!inner.empty())
    return UsageExit(
        Error{Code::kInvalidArgument, 0, Cat("slipway ", words[0], ": one of ", inner, " must follow")});
  std::string nearest = NearestWord(words[0], known);
  return UsageExit(
      Error{Code::kInvalidArgument, 0,
            Cat("unknown command '", words[0].substr(0, 64), "'",
                nearest.empty() ? "; see slipway --help" : Cat(", did you mean '", nearest, "'?"))});
}

int Main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (auto alias = kAliases.find(BaseName(argv[0])); alias != kAliases.end()) {
    ::setenv("SLIPWAY_CALLED_AS", alias->first.c_str(), 1);
    words.insert(words.begin(), alias->second);
  }
  while (words.size() >= 2 && words[0] == "--context") {
    ::setenv("SLIPWAY_CONTEXT", words[1].c_str(), 1);
    words.erase(words.begin(), words.begin() + 2);
  }
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") return ListCommands();
  if (words[0] == "--version") words[0] = "version";
  std::size_t used = 0;
  const Subcommand* subcommand = Find(words, used);
  if (subcommand == nullptr) return UnknownCommand(words);
  Command command = subcommand->declare();
  auto parsed = ParseOptions(command, {words.begin() + static_cast<std::ptrdiff_t>(used), words.end()});
  if (!parsed) return UsageExit(parsed.error());
  if (parsed->help()) {
    Print(HelpText(command));
    return 0;
  }
  auto code = subcommand->run(*parsed);
  if (code) return *code;
  PrintError(code.error());
  return subcommand->own_failure;
}

}  // namespace
}  // namespace slipway::cli

int main(int argc, char** argv) { return slipway::cli::Main(argc, argv); }
