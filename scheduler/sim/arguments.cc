// SPDX-License-Identifier: Apache-2.0
#include "scheduler/sim/arguments.h"

#include <algorithm>

#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway::scheduler {

Result<Arguments> Arguments::Parse(const std::vector<std::string>& words,
                                   const std::vector<std::string>& with_value,
                                   const std::vector<std::string>& flags) {
  Arguments arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string name = words[i], value;
    std::size_t equals = name.find('=');
    bool joined = name.starts_with("--") && equals != std::string::npos;
    if (joined) {
      value = name.substr(equals + 1);
      name = name.substr(0, equals);
    }
    bool takes_value = std::ranges::find(with_value, name) != with_value.end();
    if (!takes_value && (joined || std::ranges::find(flags, name) == flags.end())) {
      std::vector<std::string> known = with_value;
      known.insert(known.end(), flags.begin(), flags.end());
      std::string near = NearestWord(name, known);
      return Fail(Code::kInvalidArgument, "unknown option ", name,
                  near.empty() ? std::string() : Cat("; did you mean ", near, "?"));
    }
    if (takes_value && !joined) {
      if (++i == words.size()) return Fail(Code::kInvalidArgument, name, " needs a value");
      value = words[i];
    }
    if (!arguments.given_.emplace(name, value).second)
      return Fail(Code::kInvalidArgument, name, " is given twice");
  }
  return arguments;
}

std::string Arguments::Text(const std::string& name, const std::string& otherwise) const {
  auto found = given_.find(name);
  return found == given_.end() ? otherwise : found->second;
}

Result<std::uint64_t> Arguments::Number(const std::string& name, std::uint64_t otherwise, std::uint64_t low,
                                        std::uint64_t high) const {
  auto found = given_.find(name);
  if (found == given_.end()) return otherwise;
  return TRY_CONTEXT(ParseNumber(found->second, low, high), name);
}

}  // namespace slipway::scheduler
