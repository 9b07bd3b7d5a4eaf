// SPDX-License-Identifier: Apache-2.0
// Looks after the node: at start, from time to time, and before and after jobs. It decides nothing about the
// node but whether it is well; the controller drains and resumes it.
//
// Loop's thread only.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/health/builtin_checks.h"
#include "agent/health/site_program.h"
#include "agent/health/verdict.h"

namespace slipway {

struct HealthOptions {
  std::string program;  // the site's; empty: none
  bool around_jobs = true;
  std::chrono::seconds interval{60}, timeout{30};
  HealthLimits limits;
  std::vector<std::string> folders;  // whose file systems are looked at
  std::string node;
};

class Health {
 public:
  struct Events {
    std::function<void(const std::string& reason)> changed;  // empty: well
    std::function<bool()> idle;                              // no step runs here
    // What else is looked at each time, one sentence for each thing that is wrong; empty: nothing.
    std::function<std::vector<std::string>()> look{};
  };
  Health(Loop& loop, HealthOptions options, Events events);
  ~Health();

  // The first look; from then on by itself. `changed` also comes once, when first all is known.
  void Start();
  // Looks now, by the site's program too where it is wanted around jobs; then `done`, with the reason.
  void LookForJob(std::function<void(const std::string& reason)> done);
  // Another folder whose file system is looked at from the next look on; empty or known: nothing.
  void AlsoLookAt(const std::string& folder);
  const std::string& reason() const { return reason_; }
  // The site's program has answered since the start, if there is one: before, "well" is not known.
  bool known() const { return known_; }

  // What others notice.
  void SetClockAhead(std::int64_t ms) { clock_ahead_ms_ = ms; }
  void SetComplaint(const std::string& source, std::vector<std::string> complaints);

 private:
  void LookBuiltIn();
  void RunProgram();
  void OnAnswer(const ProgramEnd& end);
  void Update(bool all_known);

  Loop& loop_;
  HealthOptions options_;
  Events events_;
  Verdict verdict_;
  std::string reason_;
  std::optional<std::int64_t> clock_ahead_ms_;
  std::string last_words_;
  Loop::TimerId timer_;
  bool known_ = false, program_runs_ = false, program_again_ = false;
  // For the answer of a run that begins after they asked: what began before may have missed what they mean.
  std::vector<std::function<void(const std::string&)>> waiting_, waiting_next_;
  SitePrograms programs_;
};

}  // namespace slipway
