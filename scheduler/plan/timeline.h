// SPDX-License-Identifier: Apache-2.0
// What one node will have free, when: a step function from now to for ever. Running jobs are taken off it
// until their limits, planned jobs and reservations over their intervals; all three are the same operation,
// so that "does it fit, and when" has one answer. This is the profile that backfilling plans on.
#pragma once

#include <cstddef>
#include <vector>

#include "scheduler/plan/vec.h"

namespace slipway::plan {

class Timeline {
 public:
  explicit Timeline(const Vec& total = {}) : steps_{{0, total}} {}

  // In [from, to) there is `what` less (more). Values may become negative: an overbooked node fits nothing.
  void Take(const Vec& what, Instant from, Instant to) { Change(what, from, to, -1); }
  void Give(const Vec& what, Instant from, Instant to) { Change(what, from, to, +1); }

  // Forgets what lies before `now`; queries then start at `now` or later.
  void Advance(Instant now);

  // Planned jobs and reservations begin later than now: with none of them (`holds` 0) what is free only
  // grows.
  std::size_t holds = 0;

  // As of the last Advance.
  const Vec& Now() const { return steps_[first_].free; }
  bool Fits(const Vec& need, Instant from, Instant to) const;
  // The smallest of each dimension over [from, to).
  Vec LeastOver(Instant from, Instant to) const;
  // The first time ≥ `from` from which `need` fits for `length`; kNever when there is none.
  Instant Earliest(const Vec& need, Instant from, Instant length) const;
  // When something changes, in order, after `from`.
  void AppendChanges(Instant from, std::vector<Instant>& times) const;
  std::size_t size() const { return steps_.size() - first_; }

 private:
  struct Step {
    Instant from;
    Vec free;
  };
  void Change(const Vec& what, Instant from, Instant to, int sign);
  std::size_t IndexAt(Instant time) const;  // of the step that holds at `time`
  std::size_t Split(Instant at);            // index of the step that begins there
  void Join(std::size_t index);             // drops a step that repeats the one before
  std::vector<Step> steps_;
  std::size_t first_ = 0;
};

}  // namespace slipway::plan
