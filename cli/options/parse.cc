// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/text/text.h"
#include "cli/options/options.h"

namespace slipway::cli {

std::string Parsed::Value(std::string_view name, std::string otherwise) const {
  const auto& values = List(name);
  return values.empty() ? std::move(otherwise) : values.back();
}

const std::vector<std::string>& Parsed::List(std::string_view name) const {
  static const std::vector<std::string> kNone;
  auto at = values_.find(std::string(name));
  return at == values_.end() ? kNone : at->second;
}

namespace {

const Option kHelp = {.name = "help", .letter = 'h', .type = Option::kFlag, .help = "show this help"};

bool TakesValue(const Option& option) {
  return option.type == Option::kString || option.type == Option::kList;
}

const Option* ByName(const Command& command, std::string_view name) {
  if (name == kHelp.name) return &kHelp;
  auto at = std::find_if(command.options.begin(), command.options.end(),
                         [&](const Option& o) { return o.name == name; });
  return at == command.options.end() ? nullptr : &*at;
}

const Option* ByLetter(const Command& command, char letter) {
  auto at = std::find_if(command.options.begin(), command.options.end(),
                         [&](const Option& o) { return o.letter == letter; });
  if (at != command.options.end()) return &*at;
  return letter == kHelp.letter ? &kHelp : nullptr;
}

Failure Unknown(const Command& command, std::string_view spelled) {
  std::vector<std::string> known = {"--help"};
  for (const Option& option : command.options) known.push_back("--" + option.name);
  std::string nearest = NearestWord(spelled, known);
  return Fail(
      Code::kInvalidArgument, command.name, ": unknown option '", spelled.substr(0, 64), "'",
      nearest.empty() ? Cat("; see '", command.name, " --help'") : Cat(", did you mean '", nearest, "'?"));
}

Result<> CheckPositionals(const Command& command, const std::vector<std::string>& given) {
  std::size_t most = 0;
  bool many = false;
  for (const Positional& positional : command.positionals) {
    if (positional.arity == Positional::kMany) many = true;
    if (positional.arity == Positional::kOne && given.size() <= most)
      return Fail(Code::kInvalidArgument, command.name, ": no ", positional.name, " given; ",
                  UsageLine(command));
    ++most;
  }
  if (!many && given.size() > most)
    return Fail(Code::kInvalidArgument, command.name, ": '", given[most].substr(0, 64),
                "' is one argument too many; ", UsageLine(command));
  return {};
}

}  // namespace

Result<Parsed> ParseOptions(const Command& command, const std::vector<std::string>& arguments) {
  Parsed parsed;
  std::size_t next = 0;
  auto take = [&](const Option& option, std::string_view spelled) -> Result<> {
    if (next == arguments.size())
      return Fail(Code::kInvalidArgument, command.name, ": ", spelled, " needs a value: ", spelled, " ",
                  option.value_name);
    parsed.values_[option.name].push_back(arguments[next++]);
    return {};
  };
  auto long_option = [&](std::string_view argument) -> Result<> {
    auto equals = argument.find('=');
    std::string_view spelled = argument.substr(0, equals);
    const Option* option = ByName(command, spelled.substr(2));
    if (option == nullptr) return Unknown(command, spelled);
    if (equals == std::string_view::npos && TakesValue(*option)) return take(*option, spelled);
    if (equals != std::string_view::npos && !TakesValue(*option) && option->type != Option::kMaybe)
      return Fail(Code::kInvalidArgument, command.name, ": ", spelled, " takes no value");
    parsed.values_[option->name].emplace_back(equals == std::string_view::npos ? std::string_view{}
                                                                               : argument.substr(equals + 1));
    return {};
  };
  auto letters = [&](std::string_view argument) -> Result<> {
    for (std::size_t i = 1; i < argument.size(); ++i) {
      std::string spelled = Cat("-", argument[i]);
      const Option* option = ByLetter(command, argument[i]);
      if (option == nullptr)
        return Unknown(command, argument.size() == 2 ? argument : Cat(spelled, "' in '", argument));
      if (option->type == Option::kMaybe) {
        parsed.values_[option->name].emplace_back(argument.substr(i + 1));
        return {};
      }
      if (!TakesValue(*option)) {
        parsed.values_[option->name].emplace_back();
        continue;
      }
      if (i + 1 == argument.size()) return take(*option, spelled);
      parsed.values_[option->name].emplace_back(argument.substr(i + 1));
      return {};
    }
    return {};
  };
  while (next < arguments.size()) {
    const std::string& argument = arguments[next++];
    if (argument == "--") break;
    if (argument.starts_with("--")) {
      TRY(long_option(argument));
    } else if (argument.size() > 1 && argument[0] == '-') {
      TRY(letters(argument));
    } else {
      parsed.positionals_.push_back(argument);
      if (command.stop_at_first_positional) break;
    }
  }
  parsed.positionals_.insert(parsed.positionals_.end(), arguments.begin() + static_cast<std::ptrdiff_t>(next),
                             arguments.end());
  if (!parsed.help()) TRY(CheckPositionals(command, parsed.positionals_));
  return parsed;
}

}  // namespace slipway::cli
