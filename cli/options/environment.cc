// SPDX-License-Identifier: Apache-2.0
// Sites and users set options in variables, in job scripts and module files.
#include <algorithm>

#include "cli/options/options.h"

namespace slipway::cli {
namespace {

const Option* OptionOf(const Command& command, std::string_view variable) {
  for (const Option& option : command.options) {
    if (std::find(option.variables.begin(), option.variables.end(), variable) != option.variables.end())
      return &option;
  }
  return nullptr;
}

Result<bool> IsOn(std::string_view entry, std::string_view value) {
  for (std::string_view on : {"1", "true", "TRUE", "True", "t", "T", "yes", "on"}) {
    if (value == on) return true;
  }
  for (std::string_view off : {"", "0", "false", "FALSE", "False", "f", "F", "no", "off"}) {
    if (value == off) return false;
  }
  return Fail(Code::kInvalidArgument, "environment: ", entry.substr(0, 96),
              ": is neither yes (1, true) nor no (0, false)");
}

struct Found {
  std::size_t rank = 0;  // of the prefix; the lowest wins
  std::string entry, value;
};

}  // namespace

Result<> TakeFromEnvironment(const Command& command, const std::vector<std::string>& prefixes,
                             const std::vector<std::string>& environment, Parsed& parsed) {
  std::map<const Option*, Found> found;
  for (const std::string& entry : environment) {
    for (std::size_t rank = 0; rank < prefixes.size(); ++rank) {
      if (!entry.starts_with(prefixes[rank])) continue;
      auto equals = entry.find('=');
      if (equals == std::string::npos || equals < prefixes[rank].size()) continue;
      const Option* option = OptionOf(
          command, std::string_view(entry).substr(prefixes[rank].size(), equals - prefixes[rank].size()));
      if (option == nullptr) continue;
      auto at = found.find(option);
      if (at == found.end() || rank < at->second.rank)
        found[option] = {rank, entry, entry.substr(equals + 1)};
    }
  }
  for (const auto& [option, value] : found) {
    bool given = parsed.Has(option->name);
    bool flag = option->type == Option::kFlag || option->type == Option::kCount;
    if (flag) {
      bool on = TRY(IsOn(value.entry, value.value));
      if (on && !given) parsed.values_[option->name].emplace_back();
    } else if (option->type == Option::kMaybe) {
      // "yes" is the option without a value.
      auto on = IsOn(value.entry, value.value);
      if (!given && (!on || *on)) parsed.values_[option->name].push_back(on ? std::string() : value.value);
    } else if (option->type == Option::kList) {
      auto& values = parsed.values_[option->name];
      if (!value.value.empty()) values.insert(values.begin(), value.value);
      if (values.empty()) parsed.values_.erase(option->name);
    } else if (!given && !value.value.empty()) {
      parsed.values_[option->name].push_back(value.value);
    }
  }
  return {};
}

}  // namespace slipway::cli
