// SPDX-License-Identifier: Apache-2.0
// One pass over the queue. Within a walk resources only shrink, except where a planned job moves to an
// earlier time: then what was found blocked before is looked at again, until nothing moves.
#include <algorithm>

#include "base/result/result.h"
#include "scheduler/plan/planner.h"

namespace slipway::plan {
namespace {

constexpr GroupNumber kPlannedJob = UINT32_MAX;  // a head that is not a group's first but a planned job

struct Head {
  Rank rank = 0;
  JobNumber job = 0;
  GroupNumber group = 0;
};
struct Later {
  bool operator()(const Head& a, const Head& b) const {
    return a.rank != b.rank ? a.rank > b.rank : a.job > b.job;
  }
};

}  // namespace

class PassWalk {
 public:
  explicit PassWalk(Planner& planner) : p_(planner), now_(planner.cluster_.now()) {}

  std::vector<PlanStart> Run() {
    ++p_.statistics_.passes;
    p_.ForgetFarPlans();
    do {
      ++p_.statistics_.walks;
      again_ = blocked_any_ = stop_ = before_backfill_ = false;
      first_start_ = kNever;
      planned_count_ = 0;
      for (Shape& shape : p_.queue_.shapes()) shape.blocked_length = kNever;
      Walk();
    } while (again_);
    return std::move(starts_);
  }

 private:
  void Walk() {
    Fill();
    while (!heads_.empty() && !stop_) {
      std::ranges::pop_heap(heads_, Later());
      Head head = heads_.back();
      heads_.pop_back();
      if (head.group == kPlannedJob) {
        ConsiderPlanned(p_.jobs_.at(head.job));
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

  void Fill() {
    heads_.clear();
    for (GroupNumber number : p_.queue_.active()) Push(number, false);
    for (const auto& [start, id] : p_.planned_) {
      const Planner::Job& job = p_.jobs_.at(id);
      Rank rank = p_.rules_.keeps_choice ? INT64_MIN : job.entry.rank + p_.lanes_[job.lane];
      heads_.push_back({rank, id, kPlannedJob});
    }
    std::ranges::make_heap(heads_, Later());
  }

  void Push(GroupNumber number, bool heap) {
    const Group& group = p_.queue_.group(number);
    const Entry& first = group.front();
    Rank rank = before_backfill_ ? first.backfill_rank : first.rank;
    heads_.push_back({rank + p_.lanes_[group.lane], first.job, number});
    if (heap) std::ranges::push_heap(heads_, Later());
  }

  // The rest of this walk is in the order of overtaking.
  void Reorder() {
    for (Head& head : heads_) {
      if (head.group == kPlannedJob) continue;
      const Group& group = p_.queue_.group(head.group);
      head.rank = group.front().backfill_rank + p_.lanes_[group.lane];
    }
    std::ranges::make_heap(heads_, Later());
  }

  // A planned job: start it, or plan it earlier if something was freed since.
  void ConsiderPlanned(Planner::Job& job) {
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
    if (auto nodes = p_.cluster_.PlaceNow(request, job.length, Prefer(job))) {
      if (promised > now_) Moved();
      stop_ = false;
      --planned_count_;
      return Start(job, std::move(*nodes));
    }
    ++p_.statistics_.plans;
    Planned planned = p_.cluster_.Earliest(request, job.length);
    if (planned.start > promised && promised > now_ && p_.Fits(request, before, job.length)) planned = before;
    if (planned.start > promised && promised < kNever) ++p_.statistics_.promises_broken;
    if (planned.start < promised) Moved();
    first_start_ = std::min(first_start_, planned.start);
    if (planned.start >= kNever && !p_.rules_.keeps_choice) return Unplan(job);
    p_.Hold(job, std::move(planned));
  }

  // Nothing to be planned on, or not allowed, any more: it waits like others.
  void Unplan(Planner::Job& job) {
    --planned_count_;
    Moved();
    p_.Enqueue(job);
  }

  // What was freed at a later time may let a job in that was found blocked before.
  void Moved() {
    p_.Gain();
    if (blocked_any_) again_ = true;
  }

  void ConsiderGroup(GroupNumber number) {
    Group& group = p_.queue_.group(number);
    Shape& shape = p_.queue_.shape(group.shape);
    Planner::Job& job = p_.jobs_.at(group.front().job);
    if (!p_.LimitsAllow(group.limits, shape.request)) return;  // nor any other of the group
    if (MayStart(group, shape)) {
      if (auto nodes = p_.cluster_.PlaceNow(shape.request, group.length, Prefer(job))) {
        Dequeue(number, job);
        return Start(job, std::move(*nodes));
      }
      shape.blocked_length = group.length;
    }
    blocked_any_ = true;
    if (p_.rules_.backfill == Backfill::kNone) return StopAt(number, job);
    if (planned_count_ >= p_.rules_.reservations) return;
    ++p_.statistics_.plans;
    Planned planned = p_.cluster_.Earliest(shape.request, group.length);
    if (planned.start >= kNever) return;  // it has nothing to be planned on; others may
    ++planned_count_;
    first_start_ = std::min(first_start_, planned.start);
    Dequeue(number, job);
    p_.Hold(job, std::move(planned));
  }

  bool MayStart(const Group& group, const Shape& shape) const {
    if (group.length >= shape.blocked_length) return false;
    bool first = planned_count_ == 0 || p_.rules_.backfill != Backfill::kBeforeFirst;
    return first || After(now_, group.length) < first_start_;
  }

  // Nothing overtakes. A policy that keeps its choice remembers it as planned for no time.
  void StopAt(GroupNumber number, Planner::Job& job) {
    stop_ = true;
    if (!p_.rules_.keeps_choice) return;
    Dequeue(number, job);
    p_.Hold(job, {});
  }

  // Takes the group's first job out of the queue; the next one takes its place in this walk.
  void Dequeue(GroupNumber number, const Planner::Job& job) {
    bool last = p_.queue_.group(number).entries.size() - p_.queue_.group(number).head == 1;
    p_.queue_.Remove(number, job.entry);
    if (!last) Push(number, true);
  }

  void Start(Planner::Job& job, Placement nodes) {
    starts_.push_back({job.entry.job, nodes});
    p_.Start(job, std::move(nodes), After(now_, job.length));
  }

  const NodeBits* Prefer(const Planner::Job& job) const {
    return job.prefer == 0 ? nullptr : &p_.cluster_.SetOf(job.prefer);
  }

  Planner& p_;
  Instant now_;
  std::vector<Head> heads_;
  std::vector<PlanStart> starts_;
  std::uint32_t planned_count_ = 0;
  Instant first_start_ = kNever;  // of the planned jobs
  bool again_ = false;            // something moved after something was found blocked
  bool blocked_any_ = false, stop_ = false, before_backfill_ = false;
};

std::vector<PlanStart> Planner::Pass() { return PassWalk(*this).Run(); }

}  // namespace slipway::plan
