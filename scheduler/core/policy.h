// SPDX-License-Identifier: Apache-2.0
// Which pending job starts where, now. A policy only proposes: the controller turns a Plan into events. It
// follows the events (Observe) and keeps what it needs beside the state; Reset makes that anew.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scheduler/core/event.h"
#include "scheduler/core/fair_tree.h"
#include "scheduler/core/locality.h"
#include "scheduler/core/site.h"
#include "scheduler/core/state.h"
#include "scheduler/plan/policy.h"

namespace slipway::scheduler {

enum class PendingReason : std::uint8_t {
  kNone = 0,
  kResources = 1,  // next in line: it is planned, and starts when it fits
  kPriority = 2,   // does not fit now, and others are ahead of it
  kBeginTime = 3,
  kLimit = 4,             // a limit of its array, QOS or account is reached
  kNodesUnavailable = 5,  // would fit the cluster, but nodes are drained, down or silent
  kDependency = 6,
  kDependencyNever = 7,
  kHeldByUser = 8,
  kHeldByAdmin = 9,
  kPartitionDown = 10,    // its partition starts nothing
  kPartitionLimit = 11,   // its partition's limits were changed below what it asks for
  kPartitionConfig = 12,  // its partition is no more
  kReservation = 13,      // its reservation has not begun, or does not allow it any more
};
// "resources", …: short, and a sentence for a person.
std::string_view PendingReasonName(PendingReason reason);
std::string_view PendingReasonText(PendingReason reason);

struct Start {
  JobId job;
  std::uint32_t attempt = 0;
  std::vector<NodeAllocation> nodes;
  std::string partition;           // of several that it may be in; empty: its only one
  std::uint32_t time_limit_s = 0;  // less than what it asked for; 0: all of it
  bool operator==(const Start&) const = default;
};

struct PrefetchHint {
  std::string node, digest;
  auto operator<=>(const PrefetchHint&) const = default;
};

// A running job that has to go so that `by` can start.
struct Preemption {
  JobId victim;
  std::uint32_t attempt = 0;
  JobId by;
  // kCancel: it ends; kRequeue: it runs again later; kSuspend: it stands still while `by` runs, which may
  // have its cores.
  PreemptMode mode = PreemptMode::kCancel;
  std::uint32_t grace_s = 0;  // from its warning to its end
};

struct Plan {
  std::vector<Start> starts;           // in the order decided; all fit together
  std::vector<PrefetchHint> prefetch;  // nodes planned for a waiting job that lack its image
  std::vector<Preemption> preempt;
  Time next{Time::kNeverUs};  // look again then at the latest (a begin time, a planned start)
};

// A change of the request that starts the job earlier than it will as it is.
struct EarlierStart {
  std::string change;  // "with 1 node instead of 2"
  // Beside all that runs and is planned; of a job that is not planned yet, if it were next.
  Time start;
  bool now = false;  // it fits as things are
  bool operator==(const EarlierStart&) const = default;
};

// Why a pending job waits: everything at once.
struct Explanation {
  std::vector<std::string> reasons;  // one line each
  std::uint64_t ahead = 0;           // pending jobs that come first in order
  std::vector<JobId> first_ahead;    // the first of them
  std::optional<PlannedStart> planned;
  std::optional<Time> not_before;     // not planned: the earliest beside what runs and is planned
  std::vector<EarlierStart> earlier;  // a few, the earliest first
  std::string priority;               // with its arithmetic
};

class Policy {
 public:
  virtual ~Policy() = default;
  virtual std::string_view name() const = 0;
  // After each event has been applied, and after `Reset` (restart, snapshot), which takes over the promises
  // that the state has.
  virtual void Observe(const State& state, const Event& event) = 0;
  virtual void Reset(const State& state) = 0;
  // For checkers: at the next decision or question all that is kept beside the state is made anew. Nothing
  // that the policy says may differ for that.
  virtual void MakeAnew() {}
  // Deterministic: equal histories and times give equal plans. What it proposes counts as started from then
  // on.
  virtual Plan Decide(const State& state, Time now) = 0;

  // As of the last Decide. kNone for a job that does not wait.
  virtual PendingReason ReasonOf(const State& state, JobId job) = 0;
  // The same for a person: with the limit's name and figures where it is one.
  virtual std::string ReasonText(const State& state, JobId job) = 0;
  virtual std::optional<PlannedStart> PlannedStartOf(JobId job) const = 0;
  // All of them, by start.
  virtual std::vector<std::pair<JobId, PlannedStart>> PlannedStarts() const = 0;
  virtual Explanation Explain(const State& state, JobId job, Time now) = 0;
  // Whether such a request could ever run on the nodes that are known. kFailedPrecondition with the reason.
  virtual Result<> CheckFits(const State& state, const JobSpec& spec) = 0;

  // When and where it would start at the latest, were it the first to come: beside all that runs and is
  // planned. nullopt: that is not known, as nodes are away.
  virtual std::optional<PlannedStart> WhenWould(const State& state, const JobSpec& spec) = 0;

  // The same of components that start together, each of which fits.
  virtual Result<> CheckFitTogether(const State& state, const std::vector<JobSpec>& components) = 0;

  // Everybody's fair share now.
  virtual FairTree Shares(const State& state) const = 0;

  // For checkers: how often something happened that may move a planned start to a later time, and what
  // differs between the policy's books and the state.
  virtual std::uint64_t disturbances() const { return 0; }
  virtual std::optional<std::string> FindWrong(const State& state) const { return (void)state, std::nullopt; }
};

// Plans ahead in `order`'s order and backfills around what is planned (scheduler/plan). Null: priority, then
// order of submission, as many jobs planned ahead as `site` says (one: EASY). `site` null: nothing but nodes.
// `localities` may change between its calls; null: nothing is known.
std::unique_ptr<Policy> MakePlanningPolicy(std::unique_ptr<plan::Policy> order = nullptr,
                                           std::shared_ptr<const Site> site = nullptr,
                                           std::shared_ptr<const Localities> localities = nullptr);

}  // namespace slipway::scheduler
