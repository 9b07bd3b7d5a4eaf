// SPDX-License-Identifier: Apache-2.0
// Limits on what runs at once, and bounds on what is planned, as the planner counts them: which of its limits
// a job counts against, and what each is called for people.
#pragma once

#include <compare>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/core/site.h"
#include "scheduler/core/state.h"
#include "scheduler/plan/planner.h"

namespace slipway::scheduler {

class RunningLimits {
 public:
  explicit RunningLimits(std::shared_ptr<const Site> site) : site_(std::move(site)) {}
  // The planner is new.
  void Clear() {
    numbers_.clear();
    keys_.clear();
    usage_due_ = {};
  }
  // What was used is looked at again at the next Update.
  void LookAgain() { usage_due_ = {}; }
  // The planner's limits and bounds of a job; made when they are first needed.
  std::vector<std::uint32_t> Of(const State& state, const Job& job, plan::Planner& planner);
  // Those of them that the planner has. Of the others nothing is in use.
  std::vector<std::uint32_t> Known(const State& state, const Job& job) const;
  // Limits on what was used: as often as usage is recalculated.
  void Update(const State& state, plan::Planner& planner, Time now);
  Time next() const { return billed() ? usage_due_ : Time{Time::kNeverUs}; }
  bool empty() const { return numbers_.empty(); }

  // "QOSMaxJobsPerUserLimit: 4 jobs of alice run in QOS normal, and it allows 4". `number`: one that stands
  // in the job's way (Planner::BlockingLimit). "" for a limit that is not one of these.
  std::string Text(std::uint32_t number, const plan::Planner& planner, const plan::Request& request) const;
  // "bf_max_job_user: 2 of the user's jobs are planned already, …" of Planner::BoundOnPlanning.
  std::string BoundText(std::uint32_t number, const plan::Planner& planner) const;

 private:
  // The last two bound what is planned, all others what runs.
  enum class Kind : std::uint8_t {
    kArray,
    kQos,
    kQosUser,
    kAccount,
    kUser,
    kBilling,
    kPlannedUser,
    kPlannedPartition
  };
  struct Key {
    Kind kind = Kind::kArray;
    std::string name;       // of the QOS, account or partition
    std::uint64_t who = 0;  // uid, or the array's job
    auto operator<=>(const Key&) const = default;
  };
  // see(key, make): make() gives what the planner counts by it. In the order in which one that stands in the
  // way is told.
  template <class See>
  void EachOf(const State& state, const Job& job, See see) const;
  bool billed() const;

  std::shared_ptr<const Site> site_;
  std::map<Key, std::uint32_t> numbers_;
  std::map<std::uint32_t, Key> keys_;
  Time usage_due_;
};

}  // namespace slipway::scheduler
