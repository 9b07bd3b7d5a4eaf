// SPDX-License-Identifier: Apache-2.0
// A recorded workload through the production planner under virtual time: what a policy would have made of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result/result.h"
#include "scheduler/plan/policy.h"
#include "scheduler/sim/swf.h"

namespace slipway::scheduler {

struct ReplayOptions {
  std::int64_t processors = 0;
  bool exact_estimates = false;  // the policy knows run times; else it believes the users
  // A job that is expected to end now has left its processors to a job that is submitted in the same second.
  // Published simulators differ in this; see docs/simulation.md.
  bool ends_before_submits = true;
};

struct ReplayedJob {
  std::int64_t submit_s = 0, start_s = 0, run_s = 0, processors = 0;
};

struct ReplayResult {
  std::vector<ReplayedJob> jobs;  // in the order of the trace
  std::uint64_t passes = 0, skipped = 0, promises_broken = 0;
  double cpu_s = 0;
};

// `jobs` [first, first + count) of the trace. Those that want more processors than there are are skipped.
ReplayResult Replay(const Trace& trace, std::size_t first, std::size_t count, const ReplayOptions& options,
                    std::unique_ptr<plan::Policy> policy);

struct ReplayFigures {
  std::uint64_t jobs = 0, skipped = 0, passes = 0, promises_broken = 0;
  double bsld_avg = 0, bsld_max = 0, flow_avg_s = 0, stretch_avg = 0, wait_avg_s = 0;
  double utilisation = 0, makespan_s = 0;  // of several runs: over all, and the mean
  double cpu_s = 0;
};
// bounded slowdown = max(1, (wait + run) / max(run, 10 s)); flow = wait + run; stretch = flow / run.
ReplayFigures FiguresOf(const std::vector<ReplayResult>& runs, std::int64_t processors);

// The subcommand: its words, its output and exit status.
int ReplayCommand(const std::vector<std::string>& words);

}  // namespace slipway::scheduler
