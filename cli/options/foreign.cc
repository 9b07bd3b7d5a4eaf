// SPDX-License-Identifier: Apache-2.0
#include "cli/options/options.h"

namespace slipway::cli {

std::vector<Option> HiddenOptions(std::span<const ForeignOption> foreign) {
  std::vector<Option> options;
  for (const ForeignOption& one : foreign) {
    Option option{.name = one.name,
                  .letter = one.letter,
                  .type = one.type,
                  .help = one.why,
                  .hidden = true,
                  .foreign = one.foreign};
    if (one.type != Option::kFlag) option.value_name = "VALUE";
    if (one.variable != nullptr) option.variables.emplace_back(one.variable);
    options.push_back(std::move(option));
  }
  return options;
}

Result<std::vector<std::string>> JudgeForeignOptions(const Command& command, const Parsed& parsed) {
  std::vector<std::string> warnings;
  for (const Option& option : command.options) {
    if (option.foreign == Option::kOwn || option.foreign == Option::kNothing || !parsed.Has(option.name))
      continue;
    if (option.foreign == Option::kRefuse)
      return Fail(Code::kUnimplemented, command.name, ": --", option.name, " cannot be had: ", option.help);
    warnings.push_back(Cat("warning: --", option.name, " changes nothing: ", option.help));
  }
  return warnings;
}

}  // namespace slipway::cli
