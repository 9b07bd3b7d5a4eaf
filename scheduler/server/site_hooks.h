// SPDX-License-Identifier: Apache-2.0
// A site's own programs have a word in each submission: one may refuse or change it, one gives it a priority.
// They are run on threads of their own, never on the loop's, with JSON (the messages HookQuestion and
// HookAnswer of job.proto) on their standard input and output, and have a deadline: a program that hangs is
// killed with all that it started. What fails, a bad answer too, refuses the submission, or, where the site
// says so, is logged and passed over.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "scheduler/server/worker.h"
#include "slipway/v1/job.pb.h"

namespace slipway::scheduler {

// Runs it to its end, as who we are, with an empty environment but PATH. Its output is at most a mebibyte.
// Errors name the program and what became of it.
Result<std::string> RunHook(const std::string& program, std::string_view input,
                            std::chrono::milliseconds deadline);

struct HookRules {
  std::string submit_filter, priority;  // absolute paths; empty: none
  std::chrono::milliseconds deadline{5000};
  bool failure_refuses = true;
};

class SiteHooks {
 public:
  explicit SiteHooks(HookRules rules);
  bool any() const { return !rules_.submit_filter.empty() || !rules_.priority.empty(); }

  // Any thread. One question, or of a heterogeneous job one for each component, in their order. `done` is
  // called once, on a thread of the hooks: with the submission as it is to be, or why it is refused, as a
  // whole and from the first component on that is. kUnavailable when too many wait already.
  using Done = std::function<void(Result<std::vector<v1::JobSpec>>)>;
  void Ask(std::vector<v1::HookQuestion> questions, Done done);

 private:
  Result<std::vector<v1::JobSpec>> RunAll(std::vector<v1::HookQuestion> questions) const;
  Result<v1::JobSpec> Run(v1::HookQuestion question) const;
  Result<v1::HookAnswer> RunOne(const std::string& program, const v1::HookQuestion& question) const;

  HookRules rules_;
  std::atomic<std::size_t> next_{0}, waiting_{0};
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace slipway::scheduler
