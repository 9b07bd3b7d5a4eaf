// SPDX-License-Identifier: Apache-2.0
#include "cli/command/command.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "base/os/fd.h"
#include "base/text/text.h"
#include "cli/command/not_had.h"

namespace slipway::cli {

namespace {

const Subcommand* Find(const std::vector<std::string>& words, const std::vector<const Subcommand*>& all) {
  const Subcommand* best = nullptr;
  for (const Subcommand* subcommand : all) {
    std::size_t n = subcommand->words.size();
    if (n > words.size() || (best != nullptr && n <= best->words.size())) continue;
    if (std::equal(subcommand->words.begin(), subcommand->words.end(), words.begin())) best = subcommand;
  }
  return best;
}

struct Group {
  std::string text;   // a line for each of its commands
  std::string words;  // "up, down, status" of `dev`
};

Group GroupOf(const std::string& word, const std::vector<const Subcommand*>& all) {
  Group group;
  for (const Subcommand* subcommand : all) {
    if (subcommand->hidden || subcommand->words[0] != word || subcommand->words.size() < 2) continue;
    const std::string& inner = subcommand->words[1];
    group.words += (group.words.empty() ? "" : ", ") + inner;
    group.text += Cat("  ", inner, std::string(inner.size() < 10 ? 10 - inner.size() : 1, ' '),
                      subcommand->declare().summary, "\n");
  }
  return group;
}

bool AsksForHelp(const std::string& word) { return word == "--help" || word == "-h" || word == "help"; }

// `slipway image`, `slipway image --help`, and what is no command of it.
int ShowGroup(const std::vector<std::string>& words, const Group& group) {
  if (words.size() > 1 && !AsksForHelp(words[1])) {
    return UsageExit(Error{
        Code::kInvalidArgument, 0,
        Cat("slipway ", words[0], ": unknown command '", words[1].substr(0, 64), "'; one of ", group.words)});
  }
  Print(Cat("usage: slipway ", words[0], " COMMAND [OPTION…]\n\n", group.text, "\n`slipway ", words[0],
            " COMMAND --help` says more.\n"));
  return 0;
}

int UnknownCommand(const std::vector<std::string>& words, const std::vector<const Subcommand*>& all,
                   std::vector<std::string> known) {
  if (auto why = WhyNotHad(words)) return UsageExit({Code::kUnimplemented, 0, *why});
  for (const Subcommand* subcommand : all) {
    if (subcommand->hidden) continue;
    known.push_back(subcommand->words[0]);
  }
  if (Group group = GroupOf(words[0], all); !group.text.empty()) return ShowGroup(words, group);
  std::string nearest = NearestWord(words[0], known);
  return UsageExit(
      Error{Code::kInvalidArgument, 0,
            Cat("unknown command '", words[0].substr(0, 64), "'",
                nearest.empty() ? "; see slipway --help" : Cat(", did you mean '", nearest, "'?"))});
}

}  // namespace

Option JsonOption() { return {.name = "json", .help = "print one JSON object"}; }

std::string CalledAs() {
  const char* name = std::getenv("SLIPWAY_CALLED_AS");
  return name == nullptr ? "" : name;
}

void PrintError(const Error& error) {
  std::string line = error.message.starts_with("slipway") ? error.message : "slipway: " + error.message;
  // Names and words of strangers (images, registries) are in it: they must not talk to a terminal.
  std::replace_if(
      line.begin(), line.end(),
      [](unsigned char c) { return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f; }, '?');
  if (line.empty() || line.back() != '\n') line += '\n';
  [[maybe_unused]] auto written = WriteAll(2, line);
}

int UsageExit(const Error& error) {
  PrintError(error);
  return kUsage;
}

void Print(const std::string& text) {
  if (WriteAll(1, text)) return;
  ::signal(SIGPIPE, SIG_DFL);
  ::raise(SIGPIPE);
  ::_exit(1);
}

std::string SummaryLine(const Command& command) {
  std::string name = command.name.substr(command.name.find(' ') + 1);
  return Cat("  ", name, std::string(name.size() < 14 ? 14 - name.size() : 1, ' '), command.summary, "\n");
}

int Dispatch(const std::vector<std::string>& words, const std::vector<const Subcommand*>& all,
             const std::vector<std::string>& also_known) {
  const Subcommand* subcommand = Find(words, all);
  if (subcommand == nullptr) return UnknownCommand(words, all, also_known);
  Command command = subcommand->declare();
  auto first = words.begin() + static_cast<std::ptrdiff_t>(subcommand->words.size());
  auto parsed = ParseOptions(command, {first, words.end()});
  if (!parsed) return UsageExit(parsed.error());
  if (parsed->help()) {
    Print(HelpText(command));
    return 0;
  }
  auto warnings = JudgeForeignOptions(command, *parsed);
  if (!warnings) return UsageExit(warnings.error());
  for (std::string& warning : *warnings) PrintError({Code::kInvalidArgument, 0, std::move(warning)});
  auto code = subcommand->run(*parsed);
  if (code) return *code;
  PrintError(code.error());
  return subcommand->own_failure;
}

}  // namespace slipway::cli
