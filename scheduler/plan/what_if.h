// SPDX-License-Identifier: Apache-2.0
// When would a waiting job start, were its request another one? Tried on a copy of the planner's books, from
// which what is planned for the job itself (of one that starts together with others: for all of these) is
// taken off. The plan knows nothing of it. Single-threaded; the planner must outlive it, and does not change
// meanwhile but for sets and patterns that new requests name.
//
// Making one copies the books (of 10,000 nodes some megabytes); a question costs what planning the job costs.
#pragma once

#include <optional>
#include <vector>

#include "scheduler/plan/planner.h"

namespace slipway::plan {

class WhatIf {
 public:
  // A job that the planner does not know is one that comes only now.
  WhatIf(const Planner& planner, JobNumber job);

  // The earliest start of such a request, `length` long (the grace comes on top), beside all that runs and
  // is planned for others: as Planner::WhenIf. kNever: there is none, or one of the job's limits on what
  // runs, as things stand, or of `also` (numbers from AddLimit) is in its way.
  Instant StartOf(const Request& request, Instant length, const std::vector<std::uint32_t>& also = {});
  std::uint32_t tries() const { return tries_; }  // questions that were looked up on the books
  bool starts_with_others() const { return !gang_.empty(); }

 private:
  const Planner& planner_;
  Cluster books_;
  LimitSet limits_ = 0;
  Planner::Gang gang_;  // of a job that starts with others: all of them
  std::size_t own_part_ = 0;
  std::vector<Limit> others_run_;    // of a gang: what is in use, were the others running
  bool others_are_limited_ = false;  // even without this one
  std::uint32_t tries_ = 0;
};

}  // namespace slipway::plan
