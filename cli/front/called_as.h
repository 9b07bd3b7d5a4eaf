// SPDX-License-Identifier: Apache-2.0
// Scripts call us by other tools' names: `apptainer -q exec …`, `singularity --version`. Those two have
// options before the command; here they are read and taken off, so that nothing behind knows of them.
#pragma once

#include <string>
#include <vector>

#include "base/result/result.h"

namespace slipway::cli {

inline constexpr const char* kCalledAsVariable = "SLIPWAY_CALLED_AS";  // for the companions

struct CalledAs {
  std::string name;                // "slipway", "apptainer", "singularity", or another ("sbatch")
  bool with_commands = false;      // the first word is a command of ours: not so for sbatch
  bool quiet = false;              // -q, -s: errors only
  std::vector<std::string> words;  // the command and what follows
};

// `argv` with the program's own path first. kInvalidArgument for an option that means nothing here.
Result<CalledAs> ReadCall(const std::vector<std::string>& argv);

}  // namespace slipway::cli
