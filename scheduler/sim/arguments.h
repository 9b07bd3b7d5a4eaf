// SPDX-License-Identifier: Apache-2.0
// The command lines of slipway-sim: words of the form --name VALUE and --flag, each declared, each at most
// once.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway::scheduler {

class Arguments {
 public:
  // Refuses what is neither in `with_value` nor in `flags`, and suggests what was meant.
  static Result<Arguments> Parse(const std::vector<std::string>& words,
                                 const std::vector<std::string>& with_value,
                                 const std::vector<std::string>& flags);

  bool Has(const std::string& name) const { return given_.contains(name); }
  // `otherwise` when it was not given.
  std::string Text(const std::string& name, const std::string& otherwise = "") const;
  Result<std::uint64_t> Number(const std::string& name, std::uint64_t otherwise, std::uint64_t low,
                               std::uint64_t high) const;

 private:
  std::map<std::string, std::string> given_;
};

}  // namespace slipway::scheduler
