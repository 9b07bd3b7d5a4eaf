// SPDX-License-Identifier: Apache-2.0
// What the subcommands of `slipway` have in common, whichever program carries them: each says what it takes
// and what it does; Dispatch finds the one that is meant and turns its error into a line and an exit code.
#pragma once

#include <string>
#include <vector>

#include "base/result/result.h"
#include "cli/options/options.h"

namespace slipway::cli {

struct Subcommand {
  std::vector<std::string> words;  // {"dev", "up"}
  Command (*declare)();
  // The exit code, or an error that is printed as "slipway: …" and turned into `own_failure`.
  Result<int> (*run)(const Parsed&);
  int own_failure = 1;
  bool hidden = false;
};

inline constexpr int kRefused = 1, kUsage = 2, kOwnFailure = 125;

Option JsonOption();
// The name that we were called by where it is another tool's ("sbatch", "apptainer"); else empty.
std::string CalledAs();
// Prints one line to stderr, with "slipway: " before it unless the message says so itself.
void PrintError(const Error& error);
// For what is wrong with the caller's own words: prints, gives kUsage.
int UsageExit(const Error& error);
void Print(const std::string& text);  // to stdout, whole; a reader that has gone ends us as SIGPIPE would

// "  exec        run a command in a container\n": one line of `slipway --help`.
std::string SummaryLine(const Command& command);
// Runs the subcommand whose words begin `words` (not empty). Returns the exit code.
// `also_known`: first words of another program's commands, for "did you mean".
int Dispatch(const std::vector<std::string>& words, const std::vector<const Subcommand*>& all,
             const std::vector<std::string>& also_known = {});

}  // namespace slipway::cli
