// SPDX-License-Identifier: Apache-2.0
// The controller's whole behaviour as a state machine: inputs and the time go in, effects come out. It never
// waits, never does I/O and never reads a clock, so slipwayd is decoding, this, and an Executor
// (scheduler/store/executor.h); and every crash point between two effects can be tried in a simulation.
//
// What nodes are to be told is derived from the state (Outstanding): after a restart, a lost stream or a lost
// message the same messages come out again until the node's answer has been committed. Single-threaded.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "scheduler/core/lease.h"
#include "scheduler/core/messages.h"
#include "scheduler/core/node_failures.h"
#include "scheduler/core/outstanding.h"
#include "scheduler/core/policy.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

struct ControllerOptions {
  std::int64_t resend_s = 10;              // unconfirmed messages go again to connected nodes
  std::int64_t keep_ended_s = 24 * 3600;   // ended jobs stay in memory (and in `slipway job`)
  std::size_t keep_ended_jobs = 100'000;   // but not more of them than this
  std::shared_ptr<const Site> site;        // null: an empty one
  std::uint32_t array_window = 256;        // so many tasks of an array wait as jobs; 0: all
  std::uint32_t drain_after_users = 3;     // node_failures.h; 0: never
  std::int64_t lease_end_s = kLeaseEnd_s;  // lease.h
  // What agents said of their nodes; changed between calls, on the caller's thread. Null: nothing.
  std::shared_ptr<const Localities> localities;
};

class Controller {
 public:
  // `state`: as replayed. `policy` null: MakePlanningPolicy() for the site.
  explicit Controller(State state, ControllerOptions options = {}, std::unique_ptr<Policy> policy = nullptr);

  // First of all calls. `epoch` was taken from the store by compare-and-swap and is greater than the state's.
  std::vector<Effect> Begin(std::uint64_t epoch, Time now);
  std::vector<Effect> Handle(const Input& input, Time now);

  // The state with all effects so far, committed or not: whoever tells the outside of it does so behind a
  // barrier (Executor::AfterCommit).
  const State& state() const { return state_; }
  // Why a pending job waits, as of the last pass.
  PendingReason ReasonOf(JobId job) const;
  std::string ReasonText(JobId job) const { return policy_->ReasonText(state_, job); }
  // When and where a pending job will start at the latest, if it is planned.
  std::optional<PlannedStart> PlannedStartOf(JobId job) const { return policy_->PlannedStartOf(job); }
  // `now`: no earlier than the last input.
  Explanation Explain(JobId job, Time now = {}) const {
    return policy_->Explain(state_, job, std::max(now, now_));
  }
  // When and where the job would start, submitted now, were it the first in the queue; refused as its
  // submission would be. Nothing changes.
  Result<std::optional<PlannedStart>> WhenWould(JobSpec spec, Time now);
  FairTree Shares() const { return policy_->Shares(state_); }
  const Site& site() const { return *options_.site; }
  // As a restart with other settings: the next turn plans anew. For a controller with the site's own policy.
  void SetSite(std::shared_ptr<const Site> site);
  const Policy& policy() const { return *policy_; }
  // The stream on which a node is registered now; 0: none.
  std::uint64_t SessionOf(std::string_view node) const;

 private:
  class Turn;  // one call of Handle: what it has decided so far (turn.h)
  State state_;
  ControllerOptions options_;
  std::unique_ptr<Policy> policy_;
  Time now_;
  // Not part of the state: gone with the process, and rightly so.
  struct Connection {
    std::uint64_t session = 0;  // the newest that registered
    bool open = false;
  };
  std::map<std::string, Connection, NodeNameLess> connections_;
  std::set<PrefetchHint> prefetch_sent_;
  NodeFailures failures_;
  std::set<std::pair<Time, JobId>> deadlines_;  // of active jobs with a time limit
  std::set<std::pair<Time, JobId>> signal_at_;  // of active jobs, before their time limits
  std::set<std::pair<Time, JobId>> start_by_;   // of pending jobs with a deadline
  std::set<std::pair<Time, JobId>> kill_at_;    // of preempted jobs with a grace
  std::set<std::pair<Time, JobId>> ended_;      // oldest first, for forgetting
  Time reservation_over_{Time::kNeverUs};       // when the first of them is over, at the earliest
  std::set<JobId> promised_;                    // jobs that the state has a planned start of
  bool pass_wanted_ = true;
  Time next_pass_{Time::kNeverUs}, next_resend_{Time::kNeverUs}, timer_{Time::kNeverUs};
};

}  // namespace slipway::scheduler
