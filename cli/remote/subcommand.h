// SPDX-License-Identifier: Apache-2.0
// Each subcommand is one file: what it takes, and what it does. main.cc finds the one that is meant.
#pragma once

#include <string>
#include <vector>

#include "base/result/result.h"
#include "cli/options/options.h"

namespace slipway::cli {

struct Subcommand {
  std::vector<std::string> words;  // {"dev", "up"}
  Command (*declare)();
  // The exit code, or an error that main prints as "slipway: …" and turns into `own_failure`.
  Result<int> (*run)(const Parsed&);
  int own_failure = 1;
  bool hidden = false;
};

extern const Subcommand kSubmit, kLaunch, kJobs, kJob, kCancel, kLogs, kNodes, kInit, kDevUp, kDevDown,
    kDevStatus, kDevSupervise, kBuild, kInspect, kSifList, kImageAdd, kImageLs, kImageRm, kCompletion,
    kComplete, kVersion, kExecJob, kShellJob;
const std::vector<const Subcommand*>& AllSubcommands();

inline constexpr int kRefused = 1, kUsage = 2, kOwnFailure = 125;

// Options that many have.
Option ContextOption();
Option JsonOption();
// Prints one line to stderr, with "slipway: " before it unless the message says so itself.
void PrintError(const Error& error);
// For what is wrong with the caller's own words: prints, gives kUsage.
int UsageExit(const Error& error);
// The words that would give the same Parsed again, positionals last.
std::vector<std::string> CommandLineWords(const Command& command, const Parsed& parsed);
void Print(const std::string& text);  // to stdout, whole; a reader that has gone ends us as SIGPIPE would

}  // namespace slipway::cli
