// SPDX-License-Identifier: Apache-2.0
// What all checks together say about a node. Each source (a built-in check, the site's program, a step whose
// processes do not end) has its own word; the node is well when none has a complaint.
//
// Pure.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/health/site_program.h"

namespace slipway {

// The answer of a health-check program, by the codes of Nagios' plugins: 0 OK, 1 WARNING (to be logged, the
// node works on), 2 CRITICAL, 3 UNKNOWN. One that hangs is critical: so are the things that it looked at.
// Whatever else happens to it (it cannot be started, other codes, a signal) is UNKNOWN.
struct CheckAnswer {
  enum Level { kOk, kWarning, kCritical, kUnknown };
  Level level = kUnknown;
  std::string words;  // one line; empty with kOk
};
CheckAnswer AnswerOf(const ProgramEnd& end, std::chrono::seconds deadline);

class Verdict {
 public:
  // Replaces what that source said before; none: it has nothing to complain about.
  void Set(const std::string& source, std::vector<std::string> complaints);
  // All of them in one line of at most 256 bytes; empty: well.
  std::string Reason() const;

 private:
  std::map<std::string, std::vector<std::string>> complaints_;
};

}  // namespace slipway
