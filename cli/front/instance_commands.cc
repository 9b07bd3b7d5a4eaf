// SPDX-License-Identifier: Apache-2.0
#include "cli/front/instance_commands.h"

#include <cstdio>

#include "base/text/text.h"
#include "cli/front/say.h"

namespace slipway::cli {
namespace {

constexpr int kUsage = 125;

const std::vector<const InstanceCommand*>& All() {
  static const std::vector<const InstanceCommand*> all = {&kInstanceStart, &kInstanceRun,  &kInstanceList,
                                                          &kInstanceStats, &kInstanceLogs, &kInstanceStop};
  return all;
}

int ShowAll() {
  std::string text = "usage: slipway instance COMMAND [OPTION…]\n\n";
  for (const InstanceCommand* one : All())
    text += Cat("  ", one->word, std::string(8 - one->word.size(), ' '), one->declare().summary, "\n");
  std::fputs((text + "\n`slipway instance COMMAND --help` says more.\n").c_str(), stdout);
  return 0;
}

const InstanceCommand* Find(const std::string& word) {
  for (const InstanceCommand* one : All()) {
    if (one->word == word) return one;
  }
  return nullptr;
}

int Unknown(const std::string& word) {
  std::vector<std::string> words;
  for (const InstanceCommand* one : All()) words.push_back(one->word);
  std::string nearest = NearestWord(word, words);
  std::string hint =
      nearest.empty() ? "; one of " + Join(words, ", ") : Cat(", did you mean '", nearest, "'?");
  std::fprintf(stderr, "slipway instance: unknown command '%s'%s\n", word.substr(0, 64).c_str(),
               hint.c_str());
  return kUsage;
}

}  // namespace

std::vector<Command> InstanceCommands() {
  std::vector<Command> commands;
  for (const InstanceCommand* one : All()) commands.push_back(one->declare());
  return commands;
}

int RunInstanceCommand(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help")
    return ShowAll();
  const InstanceCommand* meant = Find(arguments[0]);
  if (meant == nullptr) return Unknown(arguments[0]);
  Command command = meant->declare();
  auto parsed = ParseOptions(command, {arguments.begin() + 1, arguments.end()});
  if (parsed && parsed->help()) {
    std::fputs(HelpText(command).c_str(), stdout);
    return 0;
  }
  auto code = parsed ? meant->run(*parsed) : Result<int>(Failure(std::move(parsed).error()));
  if (code) return *code;
  Say(code.error().message);
  return kUsage;
}

}  // namespace slipway::cli
