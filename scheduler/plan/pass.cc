// SPDX-License-Identifier: Apache-2.0
// One pass over the queue. Within a walk resources only shrink, except where a planned job moves to an
// earlier time: then what was found blocked before is looked at again, until nothing moves.
#include <algorithm>
#include <utility>

#include "base/result/result.h"
#include "scheduler/plan/pass_walk.h"

namespace slipway::plan {

std::vector<PlanStart> PassWalk::Run() {
  ++p_.statistics_.passes;
  p_.ForgetFarPlans();
  do {
    ++p_.statistics_.walks;
    again_ = blocked_any_ = stop_ = before_backfill_ = false;
    first_start_ = kNever;
    planned_count_ = 0;
    p_.queue_.shapes().Each([](Shape& shape) {
      shape.blocked_length = kNever;
      shape.deficit = shape.gain = 0;
    });
    refused_.clear();
    Fill();
    Walk();
    again_ = again_ || std::ranges::any_of(
                           refused_, [&](std::uint32_t number) { return !p_.limits_[number].PlansNoMore(); });
  } while (again_);
  p_.changes_ = {.everywhere = false};
  bool bounded = !refused_.empty() && p_.rules_.reservations != kAllJobs;
  p_.plannable_ =
      bounded ? std::min<std::size_t>(p_.PlannedJobs(), p_.rules_.reservations) : p_.rules_.reservations;
  return std::move(starts_);
}

void PassWalk::Walk() {
  while (!heads_.empty() && !stop_) {
    std::ranges::pop_heap(heads_, Later());
    Head head = heads_.back();
    heads_.pop_back();
    if (head.group == kPlannedJob) {
      p_.gangs_.contains(head.job) ? ConsiderPlannedGang(head.job) : ConsiderPlanned(p_.jobs_.at(head.job));
    } else if (head.group == kGang) {
      ConsiderGang(head.job);
    } else if (head.group == kShape) {
      ConsiderShape(head.shape);
    } else {
      ConsiderGroup(head.group);
    }
    bool full = planned_count_ >= p_.rules_.reservations;
    if (full && p_.backfill_order_ && !before_backfill_ && p_.rules_.backfill != Backfill::kNone) {
      before_backfill_ = true;
      Reorder();
    }
  }
}

void PassWalk::Fill() {
  heads_.clear();
  p_.queue_.shapes().Each([](Shape& shape) {
    shape.least = kNever;
    shape.rank = INT64_MAX;
  });
  p_.queue_.EachGroup([&](GroupNumber number) {
    const Group& group = p_.queue_.group(number);
    Push(number, false);
    Shape& shape = p_.queue_.shape(group.shape);
    shape.least = std::min(shape.least, group.least);
    shape.rank = std::min(shape.rank, heads_.back().rank);
  });
  for (const auto& [first, gang] : p_.gangs_) PushGang(first);
  for (const auto& [start, id] : p_.planned_) {
    if (IsGangsOther(id)) continue;
    const Planner::Job& job = p_.jobs_.at(id);
    Rank rank = p_.rules_.keeps_choice ? INT64_MIN : job.entry.rank + p_.lanes_[job.lane];
    heads_.push_back({rank, id, kPlannedJob});
  }
  std::ranges::make_heap(heads_, Later());
}

void PassWalk::Push(GroupNumber number, bool heap) {
  const Group& group = p_.queue_.group(number);
  const Entry& first = group.front();
  Rank rank = before_backfill_ ? first.backfill_rank : first.rank;
  heads_.push_back({rank + p_.lanes_[group.lane], first.job, number});
  if (heap) std::ranges::push_heap(heads_, Later());
}

void PassWalk::Reorder() {
  for (Head& head : heads_) {
    if (head.group == kPlannedJob) continue;
    if (head.group == kGang) {
      const Planner::Job& job = p_.jobs_.at(head.job);
      head.rank = job.entry.backfill_rank + p_.lanes_[job.lane];
      continue;
    }
    const Group& group = p_.queue_.group(head.group);
    head.rank = group.front().backfill_rank + p_.lanes_[group.lane];
  }
  std::ranges::make_heap(heads_, Later());
}

std::optional<PassWalk::Room> PassWalk::RoomFor(const Request& request, Instant length, Instant least,
                                                const Entry& entry) {
  if (auto nodes = p_.cluster_.PlaceNow(request, length, Prefer(entry)))
    return Room{std::move(*nodes), length};
  if (least >= length || !p_.cluster_.FitsNow(request, least)) return std::nullopt;
  constexpr Instant kSecond = 1'000'000;
  Instant low = least, high = length;
  while (high - low > kSecond) {
    Instant middle = low + (high - low) / 2;
    (p_.cluster_.FitsNow(request, middle) ? low : high) = middle;
  }
  auto nodes = p_.cluster_.PlaceNow(request, low, Prefer(entry));
  if (!nodes) return std::nullopt;
  return Room{std::move(*nodes), low};
}

void PassWalk::ConsiderPlanned(Planner::Job& job) {
  if (quick_) return StartPlanned(job);
  ++planned_count_;
  bool due = job.start <= now_;
  if (p_.rules_.backfill == Backfill::kNone) stop_ = true;  // unless it starts
  if (!due && job.planned_at == p_.gains_) {
    first_start_ = std::min(first_start_, job.start);
    return;
  }
  const Request& request = p_.queue_.shape(job.shape).request;
  Instant promised = job.start;
  Planned before{job.start, job.nodes};
  p_.Unhold(job);
  if (!p_.LimitsAllow(job.limits, request)) return Unplan(job);
  if (auto room = RoomFor(request, job.length, job.least, job.entry)) {
    if (promised > now_ || room->nodes != before.nodes) Moved();
    stop_ = false;
    --planned_count_;
    return Start(job, std::move(*room));
  }
  ++p_.statistics_.plans;
  Planned planned = p_.cluster_.Earliest(request, job.length);
  if (planned.start >= promised && promised > now_ && p_.Fits(request, before, job.length)) planned = before;
  if (planned.start > promised && promised < kNever) ++p_.statistics_.promises_broken;
  if (planned.start < promised) Moved();
  first_start_ = std::min(first_start_, planned.start);
  if (planned.start >= kNever && !p_.rules_.keeps_choice) return Unplan(job);
  p_.Hold(job, std::move(planned));
}

void PassWalk::Unplan(Planner::Job& job) {
  --planned_count_;
  Moved();
  p_.Enqueue(job);
}

void PassWalk::Moved() {
  p_.Gain();
  if (blocked_any_) again_ = true;
}

void PassWalk::Blocked(Shape& shape, Instant least) {
  shape.blocked_length = least;
  if (shape.deficit > 0 && least > shape.deficit_length) return;  // what is known of shorter ones is more
  shape.gain = 0;
  shape.deficit_length = least;
  std::size_t found = shape.request.tasks > 0 ? shape.request.nodes_min : p_.cluster_.last_count();
  shape.deficit = shape.request.nodes_min -
                  static_cast<std::uint32_t>(std::min<std::size_t>(found, shape.request.nodes_min));
  if (!shape.request.licences.empty() || shape.request.pattern != 0) shape.deficit = 0;
}

void PassWalk::ConsiderGroup(GroupNumber number) {
  Group& group = p_.queue_.group(number);
  Shape& shape = p_.queue_.shape(group.shape);
  if (!p_.LimitsAllow(group.limits, shape.request)) return;  // nor any other of the group
  bool full = planned_count_ >= p_.rules_.reservations;
  if (group.least >= shape.blocked_length && full && p_.rules_.backfill != Backfill::kNone) {
    blocked_any_ = true;
    return NotPlanned(group);
  }
  if (quick_ && StillMissing(group.least, shape)) {
    shape.blocked_length = group.least;
    return NotPlanned(group);
  }
  if (MayStart(group, shape)) {
    if (auto room = RoomFor(shape.request, group.length, group.least, group.front())) {
      Planner::Job& job = p_.jobs_.at(group.front().job);
      Dequeue(number, job);
      return Start(job, std::move(*room));
    }
    Blocked(shape, group.least);
  }
  blocked_any_ = true;
  if (p_.rules_.backfill == Backfill::kNone) return StopAt(number, p_.jobs_.at(group.front().job));
  if (planned_count_ >= p_.rules_.reservations) return NotPlanned(group);
  if (!p_.MayPlan(p_.limit_sets_[group.limits], refused_)) return;
  ++p_.statistics_.plans;
  Planned planned = p_.cluster_.Earliest(shape.request, group.length);
  if (planned.start >= kNever) return;  // it has nothing to be planned on; others may
  ++planned_count_;
  first_start_ = std::min(first_start_, planned.start);
  Planner::Job& job = p_.jobs_.at(group.front().job);
  Dequeue(number, job);
  p_.Hold(job, std::move(planned));
}

bool PassWalk::MayStart(const Group& group, const Shape& shape) const {
  if (group.least >= shape.blocked_length) return false;
  bool first = planned_count_ == 0 || p_.rules_.backfill != Backfill::kBeforeFirst;
  return first || After(now_, group.length) < first_start_;
}

void PassWalk::StopAt(GroupNumber number, Planner::Job& job) {
  stop_ = true;
  if (!p_.rules_.keeps_choice) return;
  Dequeue(number, job);
  p_.Hold(job, {});
}

void PassWalk::Dequeue(GroupNumber number, const Planner::Job& job) {
  bool last = p_.queue_.group(number).entries.size() - p_.queue_.group(number).head == 1;
  p_.queue_.Remove(number, job.entry);
  if (!last) Push(number, true);
}

void PassWalk::Start(Planner::Job& job, Room room) {
  starts_.push_back({job.entry.job, room.nodes, room.length - p_.grace_});
  p_.Start(job, std::move(room.nodes), After(now_, room.length));
}

const NodeBits* PassWalk::Prefer(const Entry& entry) const {
  return entry.prefer == 0 ? nullptr : &p_.cluster_.SetOf(entry.prefer);
}

std::vector<PlanStart> Planner::Pass() { return PassWalk(*this).Run(); }

std::vector<PlanStart> Planner::QuickPass() {
  bool enough = !changes_.everywhere && rules_.backfill == Backfill::kProfile && !backfill_order_ &&
                EnoughPlanned() && NextStart() > cluster_.now() &&
                planned_.rbegin()->first <= After(cluster_.now(), horizon_);
  return enough ? PassWalk(*this).RunQuick() : Pass();
}

}  // namespace slipway::plan
