// SPDX-License-Identifier: Apache-2.0
// In which order are waiting jobs considered, and what may overtake? A policy answers these two questions and
// nothing else: what fits, when and where is the planner's business. A policy is a class of a few lines in
// policies.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/plan/vec.h"

namespace slipway::plan {

using JobNumber = std::uint64_t;

struct JobFacts {
  JobNumber id = 0;
  Instant submitted = 0;
  Instant length = 0;  // the time limit, or what the user estimates
  std::int64_t processors = 1;
  std::int64_t priority = 0;  // the site's (multifactor): higher first
};

// Smaller first; equal ranks in the order of job numbers.
using Rank = std::int64_t;
inline constexpr std::uint32_t kAllJobs = UINT32_MAX;

enum class Backfill : std::uint8_t {
  kNone,         // nothing overtakes a job that waits
  kBeforeFirst,  // what has surely ended before the first waiting job starts
  kProfile       // whatever delays no planned job
};

struct Rules {
  Backfill backfill = Backfill::kProfile;
  std::uint32_t reservations =
      1;  // so many of the first waiting jobs are planned (EASY: 1, conservative: all)
  // The job that was first when it did not fit stays first until it starts, whatever comes.
  bool keeps_choice = false;
};

class Policy {
 public:
  virtual ~Policy() = default;
  virtual std::string_view name() const = 0;
  virtual Rules rules() const { return {}; }
  // Does not change while the job waits. Among jobs of equal length and processors it must follow the order
  // of submission or of priority.
  virtual Rank RankOf(const JobFacts& job) const = 0;
  // Whether JobFacts::priority decides the order; else priorities and lanes mean nothing.
  virtual bool follows_priority() const { return false; }
  // The order in which jobs may overtake once the first ones are planned.
  virtual bool has_backfill_order() const { return false; }
  virtual Rank BackfillRankOf(const JobFacts& job) const { return RankOf(job); }
};

// By name; null when there is none of that name. "easy:20" plans 20 jobs instead of one.
std::unique_ptr<Policy> MakePolicy(std::string_view name);
std::vector<std::string> PolicyNames();

// The same policy without overtaking.
std::unique_ptr<Policy> WithoutBackfill(std::unique_ptr<Policy> policy);

}  // namespace slipway::plan
