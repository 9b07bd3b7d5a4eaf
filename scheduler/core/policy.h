// SPDX-License-Identifier: Apache-2.0
// Which pending job starts where, now. A policy only proposes: the controller turns a Plan into events.
// Policies are small classes behind one interface; an incremental one follows the events (Observe) and need
// not look at the whole state each time.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scheduler/core/event.h"
#include "scheduler/core/state.h"

namespace slipway::scheduler {

enum class PendingReason : std::uint8_t {
  kNone = 0,
  kResources = 1,  // the first in order that does not fit now
  kPriority = 2,   // does not fit now, and others are ahead of it
  kBeginTime = 3,
  kArrayLimit = 4,        // %N tasks of its array run
  kNodesUnavailable = 5,  // would fit the cluster, but nodes are drained, down or silent
};
// "resources", …: short, and a sentence for a person.
std::string_view PendingReasonName(PendingReason reason);
std::string_view PendingReasonText(PendingReason reason);

struct Start {
  JobId job;
  std::uint32_t attempt = 0;
  std::vector<NodeAllocation> nodes;
};

struct PrefetchHint {
  std::string node, digest;
  auto operator<=>(const PrefetchHint&) const = default;
};

struct Plan {
  std::vector<Start> starts;           // in the order decided; all fit together
  std::vector<PrefetchHint> prefetch;  // nodes a waiting job would use and that lack its image
  std::vector<std::pair<JobId, PendingReason>> reasons;  // of jobs that stay pending, in order
  Time next{Time::kNeverUs};                             // look again then at the latest (a begin time)
};

class Policy {
 public:
  virtual ~Policy() = default;
  virtual std::string_view name() const = 0;
  // After each event has been applied, and after `Reset` (restart, snapshot). For policies with an index of
  // their own.
  virtual void Observe(const State& state, const Event& event) { (void)state, (void)event; }
  virtual void Reset(const State& state) { (void)state; }
  // Deterministic: equal states and times give equal plans.
  virtual Plan Decide(const State& state, Time now) = 0;
};

// Priority, then order of submission, with first fit: a job that does not fit now is skipped and those behind
// it are tried (so small jobs can delay a large one; reservations come with the backfill policies). Within a
// pass resources only shrink, so each distinct shape of request that failed is tried once: cost follows
// distinct requests.
std::unique_ptr<Policy> MakeFirstFitPolicy();

// One pass of the policy above.
Plan Decide(const State& state, Time now);

}  // namespace slipway::scheduler
