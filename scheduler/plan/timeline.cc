// SPDX-License-Identifier: Apache-2.0
#include "scheduler/plan/timeline.h"

#include <algorithm>

#include "base/result/result.h"

namespace slipway::plan {

std::size_t Timeline::IndexAt(Instant time) const {
  auto after = std::upper_bound(steps_.begin() + static_cast<std::ptrdiff_t>(first_), steps_.end(), time,
                                [](Instant t, const Step& step) { return t < step.from; });
  auto index = static_cast<std::size_t>(after - steps_.begin());
  return index == first_ ? first_ : index - 1;
}

std::size_t Timeline::Split(Instant at) {
  std::size_t index = IndexAt(at);
  if (steps_[index].from >= at) return index;  // also what lies before the first step
  steps_.insert(steps_.begin() + static_cast<std::ptrdiff_t>(index) + 1, Step{at, steps_[index].free});
  return index + 1;
}

void Timeline::Join(std::size_t index) {
  if (index > first_ && index < steps_.size() && steps_[index].free == steps_[index - 1].free)
    steps_.erase(steps_.begin() + static_cast<std::ptrdiff_t>(index));
}

void Timeline::Change(const Vec& what, Instant from, Instant to, int sign) {
  if (to <= from || to <= steps_[first_].from) return;
  std::size_t begin = Split(from);
  std::size_t end = to >= kNever ? steps_.size() : Split(to);
  for (std::size_t i = begin; i < end; ++i) {
    if (sign < 0) {
      steps_[i].free -= what;
    } else {
      steps_[i].free += what;
    }
  }
  Join(end);
  Join(begin);
}

void Timeline::Advance(Instant now) {
  while (first_ + 1 < steps_.size() && steps_[first_ + 1].from <= now) ++first_;
  if (first_ >= 16 && first_ * 2 >= steps_.size()) {
    steps_.erase(steps_.begin(), steps_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

bool Timeline::Fits(const Vec& need, Instant from, Instant to) const {
  std::size_t i = IndexAt(from);
  if (holds == 0) return steps_[i].free.Holds(need);
  for (; i < steps_.size() && steps_[i].from < to; ++i) {
    if (!steps_[i].free.Holds(need)) return false;
  }
  return true;
}

Vec Timeline::LeastOver(Instant from, Instant to) const {
  std::size_t i = IndexAt(from);
  Vec least = steps_[i].free;
  if (holds == 0) return least;
  for (++i; i < steps_.size() && steps_[i].from < to; ++i) least = Least(least, steps_[i].free);
  return least;
}

Instant Timeline::Earliest(const Vec& need, Instant from, Instant length) const {
  std::size_t i = IndexAt(from);
  if (holds == 0) {
    if (steps_[i].free.Holds(need)) return from;
    auto grown = std::partition_point(steps_.begin() + static_cast<std::ptrdiff_t>(i) + 1, steps_.end(),
                                      [&](const Step& step) { return !step.free.Holds(need); });
    return grown == steps_.end() ? kNever : grown->from;
  }
  Instant start = from;
  for (; i < steps_.size() && steps_[i].from < After(start, length); ++i) {
    if (steps_[i].free.Holds(need)) continue;
    if (i + 1 == steps_.size()) return kNever;
    start = steps_[i + 1].from;
  }
  return start;
}

void Timeline::AppendChanges(Instant from, std::vector<Instant>& times) const {
  for (std::size_t i = IndexAt(from) + 1; i < steps_.size(); ++i) times.push_back(steps_[i].from);
}

}  // namespace slipway::plan
