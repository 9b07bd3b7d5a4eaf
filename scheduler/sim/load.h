// SPDX-License-Identifier: Apache-2.0
// How long does the planner take with many nodes and many waiting jobs? CPU time, of mixes that are written
// down here and in docs/simulation.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result/result.h"
#include "scheduler/plan/planner.h"
#include "scheduler/sim/rng.h"

namespace slipway::scheduler {

class Gantt;

struct LoadOptions {
  std::uint32_t nodes = 10'000, queued = 100'000, reservations = 100, rounds = 30;
  std::uint32_t per_user = 0;  // of the reservations; 0: no bound
  bool fair_share = false;     // users' priorities are lanes of their own
  std::string mix = "trace";
  std::uint64_t seed = 1;
};

// A cluster and jobs for it, drawn one after the other.
class Mix {
 public:
  Mix(const std::string& name, std::uint32_t nodes, std::uint64_t seed);
  static bool Known(const std::string& name);
  void AddNodes(plan::Cluster& cluster);
  plan::PlanJob Next(plan::JobNumber id, plan::Instant now);

 private:
  plan::PlanJob TraceLike();
  plan::PlanJob Centre();
  plan::PlanJob Distinct();
  std::string name_;
  std::uint32_t nodes_;
  Rng rng_;
  std::vector<std::uint32_t> sets_;  // partitions and features of `centre`
};

struct LoadFigures {
  std::uint64_t shapes = 0, started_first = 0, planned = 0, waiting = 0;
  double fill_ms = 0, pass_ms = 0, pass_max_ms = 0;
  double arrival_us = 0, end_ms = 0, end_p99_ms = 0;
  double bytes_per_job = 0;
  std::uint64_t decisions = 0xcbf29ce484222325;  // a hash of what started where, in order
};
// `gantt` null: nothing is drawn.
LoadFigures RunLoad(const LoadOptions& options, Gantt* gantt = nullptr);

int LoadCommand(const std::vector<std::string>& words);

}  // namespace slipway::scheduler
