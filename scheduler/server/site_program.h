// SPDX-License-Identifier: Apache-2.0
// slipwayd runs programs that a site wrote: about submissions (site_hooks.h), and to fence silent nodes
// (fencer.h). None of them may hold it up: each is run on a thread that may wait, with something on its
// standard input, a deadline, and an environment of PATH alone, in / and in a session of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway::scheduler {

struct SiteProgram {
  enum Output : std::uint8_t {
    kAnswer,  // what it prints is an answer, of a mebibyte at most; its stderr is ours
    kWords,   // stdout and stderr together, for people: the last 64 KiB
  };
  std::vector<std::string> argv;  // the program's path first
  std::string_view input;
  std::chrono::milliseconds deadline;
  Output output = kAnswer;
  int call_off_fd = -1;  // borrowed; once it is readable the program is ended
};

struct SiteProgramEnd {
  enum How : std::uint8_t { kExited, kSignaled, kTimedOut, kCalledOff, kTooMuch };
  How how = kExited;
  int code = 0;  // the exit code, or the signal
  std::string output;
  bool good() const { return how == kExited && code == 0; }
};

// "exit code 1: no answer from 10.0.0.3": one line, with the last line of its output.
std::string Describe(const SiteProgramEnd& end);

// Runs it to its end, as who we are; any thread that lives as long as we do (with which it is killed). What
// it left in its session is killed with its end. Errors: it could not be started.
Result<SiteProgramEnd> RunSiteProgram(const SiteProgram& what);

}  // namespace slipway::scheduler
