// SPDX-License-Identifier: Apache-2.0
// A batch script carries its own options in comments, "#SBATCH …" or "#SLIPWAY …", at its top. They are the
// options of `slipway submit`, so they are read by the same parser; this turns a script into words for it.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "cli/options/options.h"

namespace slipway::cli {

// The words of a line as a shell would split them: blanks separate, '…' and "…" join, \ takes the next
// character as it is, # begins a comment. kInvalidArgument for a quote that does not end.
Result<std::vector<std::string>> SplitWords(std::string_view line);

// Between the words of a heterogeneous job's components, on a command line and from ReadDirectives.
inline constexpr std::string_view kComponentMark = ":";

// The words of all directives in order, a line `hetjob` (or `packjob`) as kComponentMark, to be put before
// those of the command line (the later word wins). Directives end at the first line that is neither empty nor
// a comment. Each line is checked against `command` by itself, so that errors say "NAME:LINE: …"; the script
// must begin with "#!".
Result<std::vector<std::string>> ReadDirectives(const Command& command, std::string_view script,
                                                std::string_view name);

}  // namespace slipway::cli
