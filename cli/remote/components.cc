// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/components.h"

#include <algorithm>

#include "cli/remote/subcommand.h"
#include "cli/script/directives.h"

namespace slipway::cli {
namespace {

constexpr std::string_view kPassedOn[] = {"container-env",
                                          "container-image",
                                          "container-mounts",
                                          "container-workdir",
                                          "container-writable",
                                          "no-container-mount-home",
                                          "account",
                                          "begin",
                                          "bind",
                                          "chdir",
                                          "comment",
                                          "context",
                                          "deadline",
                                          "dependency",
                                          "error",
                                          "export",
                                          "hold",
                                          "image",
                                          "input",
                                          "job-name",
                                          "lease",
                                          "mpi",
                                          "nice",
                                          "open-mode",
                                          "output",
                                          "qos",
                                          "requeue",
                                          "no-requeue",
                                          "reservation",
                                          "signal",
                                          "time"};

}  // namespace

std::vector<Words> SplitComponents(const Words& words) {
  std::vector<Words> components(1);
  for (const std::string& word : words) {
    word == kComponentMark ? void(components.emplace_back()) : components.back().push_back(word);
  }
  return components;
}

Words OptionWords(const Command& command, const Parsed& parsed) {
  Words words = CommandLineWords(command, parsed);
  words.erase(std::ranges::find(words, "--"), words.end());
  return words;
}

Command WhatIsPassedOn(Command command) {
  std::erase_if(command.options, [](const Option& option) {
    return std::ranges::find(kPassedOn, option.name) == std::end(kPassedOn);
  });
  return command;
}

Result<std::vector<Parsed>> ProgramsGiven(const Command& command, const Parsed& given) {
  Words all = given.positionals(), last;
  if (!all.empty() && all.back() == kComponentMark) {
    last.push_back(std::move(all.back()));
    all.pop_back();
  }
  std::vector<Words> parts = SplitComponents(all);
  parts.back().insert(parts.back().end(), last.begin(), last.end());
  if (parts.size() == 1) return std::vector<Parsed>{given};
  const Command passed = WhatIsPassedOn(command);
  std::vector<Parsed> components;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Words words = OptionWords(i == 0 ? command : passed, i == 0 ? given : components.back());
    if (i == 0) words.emplace_back("--");
    words.insert(words.end(), parts[i].begin(), parts[i].end());
    components.push_back(TRY_CONTEXT(ParseOptions(command, words), Cat("component ", i)));
    if (components.back().help())
      return Fail(Code::kInvalidArgument, command.name, ": --help has no place behind a ':'");
  }
  return components;
}

}  // namespace slipway::cli
