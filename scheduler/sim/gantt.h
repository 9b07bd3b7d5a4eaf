// SPDX-License-Identifier: Apache-2.0
// A simulated cluster over time as one SVG: how much of it is used, how many jobs wait, and which job holds
// which nodes when.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "scheduler/plan/planner.h"

namespace slipway::scheduler {

class Gantt {
 public:
  // Nodes are numbered 0 … nodes-1. More than are rows of the chart share rows.
  explicit Gantt(std::size_t nodes) : nodes_(nodes) {}

  // `at` never runs backwards.
  void Started(plan::JobNumber job, const plan::Placement& nodes, plan::Instant at);
  void Ended(plan::JobNumber job, plan::Instant at);                 // nothing for one that did not start
  void Sampled(plan::Instant at, double used, std::size_t waiting);  // used: 0 … 1

  // What still runs is drawn until the last time that was named.
  std::string Svg() const;

 private:
  struct Bar {
    plan::JobNumber job = 0;
    std::size_t first_node = 0, last_node = 0;
    plan::Instant from = 0, to = plan::kNever;
  };
  struct Sample {
    plan::Instant at = 0;
    double used = 0;
    std::size_t waiting = 0;
  };
  std::size_t nodes_;
  std::vector<Bar> bars_;
  std::map<plan::JobNumber, std::vector<std::size_t>> running_;  // its bars
  std::vector<Sample> samples_;
  plan::Instant first_ = plan::kNever, last_ = 0;
};

}  // namespace slipway::scheduler
