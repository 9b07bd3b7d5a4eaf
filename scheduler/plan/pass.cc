// SPDX-License-Identifier: Apache-2.0
// One pass over the queue. Within a walk resources only shrink, except where a planned job moves to an
// earlier time: then what was found blocked before is looked at again, until nothing moves.
#include <algorithm>
#include <utility>

#include "base/result/result.h"
#include "scheduler/plan/planner.h"

namespace slipway::plan {
namespace {

// Heads that are not a group's first, but a planned job (or gang, by its first), or a gang that waits.
constexpr GroupNumber kPlannedJob = UINT32_MAX, kGang = UINT32_MAX - 1;

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
      for (Shape& shape : p_.queue_.shapes()) {
        shape.blocked_length = kNever;
        shape.deficit = shape.gain = 0;
      }
      refused_.clear();
      Fill();
      Walk();
      again_ = again_ || std::ranges::any_of(refused_, [&](std::uint32_t number) {
                 return !p_.limits_[number].PlansNoMore();
               });
    } while (again_);
    p_.changes_ = {.everywhere = false};
    bool bounded = !refused_.empty() && p_.rules_.reservations != kAllJobs;
    p_.plannable_ =
        bounded ? std::min<std::size_t>(p_.PlannedJobs(), p_.rules_.reservations) : p_.rules_.reservations;
    return std::move(starts_);
  }

  // Only what the changes since the last pass may let in. Planned jobs that start free what was held for them
  // later on, which may let in others: until nothing is freed any more.
  std::vector<PlanStart> RunQuick() {
    ++p_.statistics_.quick_passes;
    quick_ = true;
    planned_count_ = p_.rules_.reservations;
    Planner::Changes changes = std::exchange(p_.changes_, {.everywhere = false});
    do {
      ++p_.statistics_.walks;
      heads_.clear();
      quick_freed_ = nullptr;
      FillGained(changes);
      std::ranges::make_heap(heads_, Later());
      Walk();
      changes = {.everywhere = false,
                 .licences = std::exchange(freed_licences_, false),
                 .freed = std::exchange(freed_, {})};
    } while (!changes.freed.empty() && !stop_);
    if (stop_) std::ranges::move(p_.Pass(), std::back_inserter(starts_));
    return std::move(starts_);
  }

 private:
  void Walk() {
    while (!heads_.empty() && !stop_) {
      std::ranges::pop_heap(heads_, Later());
      Head head = heads_.back();
      heads_.pop_back();
      if (head.group == kPlannedJob) {
        p_.gangs_.contains(head.job) ? ConsiderPlannedGang(head.job) : ConsiderPlanned(p_.jobs_.at(head.job));
      } else if (head.group == kGang) {
        ConsiderGang(head.job);
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
    for (const auto& [first, gang] : p_.gangs_) PushGang(first);
    for (const auto& [start, id] : p_.planned_) {
      if (IsGangsOther(id)) continue;
      const Planner::Job& job = p_.jobs_.at(id);
      Rank rank = p_.rules_.keeps_choice ? INT64_MIN : job.entry.rank + p_.lanes_[job.lane];
      heads_.push_back({rank, id, kPlannedJob});
    }
    std::ranges::make_heap(heads_, Later());
  }

  void FillGained(Planner::Changes& changes) {
    std::ranges::sort(changes.freed);
    changes.freed.erase(std::unique(changes.freed.begin(), changes.freed.end()), changes.freed.end());
    std::vector<bool> pushed(p_.queue_.shapes().size(), false);
    if (!changes.freed.empty() || changes.licences || !changes.limits.empty()) FillFreed(changes, pushed);
    for (JobNumber id : changes.arrived) {
      auto job = p_.jobs_.find(id);
      if (job != p_.jobs_.end() && job->second.state == Planner::JobState::kWaiting &&
          !pushed[job->second.shape])
        Push(job->second.group, false);
      if (job != p_.jobs_.end()) PushGang(id);  // those that wait longer are looked at in a whole pass
    }
  }

  void FillFreed(const Planner::Changes& changes, std::vector<bool>& look) {
    auto newly = [&](const Request& request) {
      return static_cast<std::uint32_t>(std::ranges::count_if(
          changes.freed, [&](NodeNumber node) { return p_.cluster_.CouldUse(request, node); }));
    };
    // More than any of them has: what does not fit here fits on none. And where even all of them would not
    // make up for what is missing, there is no need to look at each.
    Vec most;
    for (NodeNumber node : changes.freed) {
      for (std::size_t i = 0; i < kDims; ++i) most[i] = std::max(most[i], p_.cluster_.Free(node)[i]);
    }
    auto all = static_cast<std::uint32_t>(changes.freed.size());
    std::vector<Shape>& shapes = p_.queue_.shapes();
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      Shape& shape = shapes[i];
      if (shape.jobs == 0) continue;
      const Request& request = shape.request;
      bool tasks = request.tasks > 0;
      std::uint32_t more = 0;
      if (most.Holds(tasks ? request.node + request.task : request.node))
        more = !tasks && shape.gain + all < shape.deficit ? all : newly(request);
      shape.gain += more;
      shape.more = more;
      bool enough = more > 0 && (tasks || shape.gain >= shape.deficit);
      look[i] = enough || (changes.licences && !request.licences.empty());
    }
    std::set<std::uint32_t> limits;
    for (LimitSet set : changes.limits) {
      for (std::uint32_t number : p_.limit_sets_[set]) {
        if (p_.limits_[number].BoundsRunning()) limits.insert(number);
      }
    }
    for (GroupNumber number : p_.queue_.active()) {
      const Group& group = p_.queue_.group(number);
      bool allowed =
          !limits.empty() && std::ranges::any_of(p_.limit_sets_[group.limits],
                                                 [&](std::uint32_t limit) { return limits.contains(limit); });
      if (!look[group.shape] && !allowed) continue;
      look[group.shape] = true;
      Push(number, false);
    }
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      if (look[i]) shapes[i].blocked_length = kNever;
    }
    quick_freed_ = &changes.freed;
    for (const auto& [start, id] : p_.planned_) {
      if (p_.GangOf(id) != nullptr) continue;  // in a whole pass
      const Planner::Job& job = p_.jobs_.at(id);
      const Request& request = p_.queue_.shape(job.shape).request;
      if (newly(request) > 0 && p_.cluster_.FitsNow(request, 1))
        heads_.push_back({job.entry.rank + p_.lanes_[job.lane], id, kPlannedJob});
    }
  }

  void Push(GroupNumber number, bool heap) {
    const Group& group = p_.queue_.group(number);
    const Entry& first = group.front();
    Rank rank = before_backfill_ ? first.backfill_rank : first.rank;
    heads_.push_back({rank + p_.lanes_[group.lane], first.job, number});
    if (heap) std::ranges::push_heap(heads_, Later());
  }

  bool IsGangsOther(JobNumber id) const { return p_.GangOf(id) != nullptr && !p_.gangs_.contains(id); }

  void PushGang(JobNumber first) {
    const Planner::Job& job = p_.jobs_.at(first);
    if (job.state == Planner::JobState::kGang)
      heads_.push_back({job.entry.rank + p_.lanes_[job.lane], first, kGang});
  }

  // Starts all of them if they fit together now. They are held nowhere, and were to be at `promised`.
  bool StartGang(JobNumber first, std::vector<Planned> promised = {}) {
    const Planner::Gang gang = p_.gangs_.at(first);
    auto nodes = p_.PlacesNow(gang, std::move(promised));
    if (!nodes) return false;
    p_.gangs_.erase(first);
    for (std::size_t i = 0; i < gang.size(); ++i) {
      p_.gang_first_.erase(gang[i]);
      Planner::Job& job = p_.jobs_.at(gang[i]);
      Start(job, {std::move((*nodes)[i]), job.length});
    }
    return true;
  }

  Instant LongestOf(const Planner::Gang& gang) const {
    Instant longest = 0;
    for (JobNumber id : gang) longest = std::max(longest, p_.jobs_.at(id).length);
    return longest;
  }

  void ConsiderGang(JobNumber first) {
    const Planner::Gang gang = p_.gangs_.at(first);
    if (!p_.GangLimitsAllow(gang)) return;
    bool alone = planned_count_ == 0 || p_.rules_.backfill != Backfill::kBeforeFirst;
    bool may = alone || After(now_, LongestOf(gang)) < first_start_;
    if (may && StartGang(first)) return;
    blocked_any_ = true;
    if (p_.rules_.backfill == Backfill::kNone) {
      stop_ = true;
      if (p_.rules_.keeps_choice) p_.HoldGang(gang, std::vector<Planned>(gang.size()));
      return;
    }
    if (planned_count_ >= p_.rules_.reservations) return NotPlanned(first);
    if (!p_.MayPlan(p_.LimitsOf(first), refused_)) return;
    ++p_.statistics_.plans;
    auto planned = Planner::EarliestTogether(p_.cluster_, p_.PartsOf(gang));
    if (!planned) return;
    ++planned_count_;
    first_start_ = std::min(first_start_, planned->front().start);
    p_.HoldGang(gang, std::move(*planned));
  }

  // As ConsiderPlanned, of all of them at once.
  void ConsiderPlannedGang(JobNumber first) {
    const Planner::Gang gang = p_.gangs_.at(first);
    ++planned_count_;
    const Instant promised = p_.jobs_.at(first).start;
    if (p_.rules_.backfill == Backfill::kNone) stop_ = true;
    if (promised > now_ && p_.jobs_.at(first).planned_at == p_.gains_) {
      first_start_ = std::min(first_start_, promised);
      return;
    }
    std::vector<Planned> before = p_.UnholdGang(gang);
    auto give_up = [&] {
      --planned_count_;
      Moved();
    };
    if (!p_.GangLimitsAllow(gang)) return give_up();
    if (StartGang(first, before)) {
      Moved();
      stop_ = false;
      --planned_count_;
      return;
    }
    ++p_.statistics_.plans;
    auto planned = Planner::EarliestTogether(p_.cluster_, p_.PartsOf(gang));
    const Instant start = planned ? planned->front().start : kNever;
    const bool keep = start >= promised && promised > now_ && promised < kNever;
    if (keep && p_.PromisesHold(gang, before)) {
      first_start_ = std::min(first_start_, promised);
      return p_.HoldGang(gang, std::move(before));
    }
    if (start > promised && promised < kNever) ++p_.statistics_.promises_broken;
    if (start < promised) Moved();
    first_start_ = std::min(first_start_, start);
    if (!planned && !p_.rules_.keeps_choice) return give_up();
    p_.HoldGang(gang, planned ? std::move(*planned) : std::vector<Planned>(gang.size()));
  }

  // The rest of this walk is in the order of overtaking.
  void Reorder() {
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

  struct Room {
    Placement nodes;
    Instant length = 0;
  };
  // Where the job fits now: for all of its time, else for as long as it can be, which may be a little as
  // `least`.
  std::optional<Room> RoomFor(const Request& request, Instant length, Instant least, const Entry& entry) {
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

  // Starts it if it fits now; else it stays as it is planned.
  void StartPlanned(Planner::Job& job) {
    Planned before{job.start, job.nodes};
    std::uint64_t planned_at = job.planned_at;
    const Request& request = p_.queue_.shape(job.shape).request;
    if (!p_.cluster_.FitsNowWithout(request, job.least, before)) return;
    p_.Unhold(job);
    if (p_.LimitsAllow(job.limits, request)) {
      if (auto room = RoomFor(request, job.length, job.least, job.entry)) {
        for (const NodeShare& share : before.nodes)
          p_.cluster_.EachView(share.node, [&](NodeNumber view) { freed_.push_back(view); });
        freed_licences_ = freed_licences_ || !request.licences.empty();
        p_.Gain();
        Start(job, std::move(*room));
        stop_ = !p_.EnoughPlanned();  // nothing may overtake those that are to be planned now
        return;
      }
    }
    p_.Hold(job, std::move(before));
    job.planned_at = planned_at;
  }

  // A planned job: start it, or plan it earlier if something was freed since.
  void ConsiderPlanned(Planner::Job& job) {
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
    if (planned.start >= promised && promised > now_ && p_.Fits(request, before, job.length))
      planned = before;
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
    if (!p_.LimitsAllow(group.limits, shape.request)) return;  // nor any other of the group
    bool full = planned_count_ >= p_.rules_.reservations;
    if (group.least >= shape.blocked_length && full && p_.rules_.backfill != Backfill::kNone) {
      blocked_any_ = true;
      return NotPlanned(group.front().job);
    }
    if (quick_ && StillMissing(group, shape)) {
      shape.blocked_length = group.least;
      return NotPlanned(group.front().job);
    }
    if (MayStart(group, shape)) {
      if (auto room = RoomFor(shape.request, group.length, group.least, group.front())) {
        Planner::Job& job = p_.jobs_.at(group.front().job);
        Dequeue(number, job);
        return Start(job, std::move(*room));
      }
      shape.blocked_length = group.least;
      shape.gain = 0;
      shape.deficit_length = group.least;
      std::size_t found = shape.request.tasks > 0 ? shape.request.nodes_min : p_.cluster_.last_count();
      shape.deficit = shape.request.nodes_min -
                      static_cast<std::uint32_t>(std::min<std::size_t>(found, shape.request.nodes_min));
      if (!shape.request.licences.empty() || shape.request.pattern != 0) shape.deficit = 0;
    }
    blocked_any_ = true;
    if (p_.rules_.backfill == Backfill::kNone) return StopAt(number, p_.jobs_.at(group.front().job));
    if (planned_count_ >= p_.rules_.reservations) return NotPlanned(group.front().job);
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

  // A quick pass plans nothing. Where it is bounds, and not that enough are planned, that have left few to be
  // planned, one that comes and is within them is not to wait for its promise: nothing else may start before.
  void NotPlanned(JobNumber job) {
    if (!quick_ || p_.plannable_ >= p_.rules_.reservations) return;
    stop_ = stop_ || (p_.PlannedJobs() < p_.rules_.reservations && !p_.BoundOnPlanning(job));
  }

  // Of what was freed others have taken so much that it cannot make up for what was missing.
  bool StillMissing(const Group& group, Shape& shape) const {
    if (quick_freed_ == nullptr || shape.deficit == 0 || shape.gain < shape.more ||
        group.least < shape.deficit_length)
      return false;
    std::uint32_t left = shape.gain - shape.more;
    for (NodeNumber node : *quick_freed_) {
      if (left >= shape.deficit) return false;
      left += p_.cluster_.CouldUse(shape.request, node) ? 1 : 0;
    }
    if (left >= shape.deficit) return false;
    shape.gain = left;
    shape.more = 0;
    return true;
  }

  bool MayStart(const Group& group, const Shape& shape) const {
    if (group.least >= shape.blocked_length) return false;
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

  void Start(Planner::Job& job, Room room) {
    starts_.push_back({job.entry.job, room.nodes, room.length - p_.grace_});
    p_.Start(job, std::move(room.nodes), After(now_, room.length));
  }

  const NodeBits* Prefer(const Entry& entry) const {
    return entry.prefer == 0 ? nullptr : &p_.cluster_.SetOf(entry.prefer);
  }

  Planner& p_;
  Instant now_;
  std::vector<Head> heads_;
  std::vector<PlanStart> starts_;
  std::uint32_t planned_count_ = 0;
  Instant first_start_ = kNever;  // of the planned jobs
  bool quick_ = false;
  const std::vector<NodeNumber>* quick_freed_ = nullptr;
  bool freed_licences_ = false;
  std::vector<NodeNumber> freed_;       // quick: by planned jobs that started early
  bool again_ = false;                  // something moved after something was found blocked
  std::vector<std::uint32_t> refused_;  // limits that let no more be planned in this walk
  bool blocked_any_ = false, stop_ = false, before_backfill_ = false;
};

std::vector<PlanStart> Planner::Pass() { return PassWalk(*this).Run(); }

std::vector<PlanStart> Planner::QuickPass() {
  bool enough = !changes_.everywhere && rules_.backfill == Backfill::kProfile && !backfill_order_ &&
                EnoughPlanned() && NextStart() > cluster_.now() &&
                planned_.rbegin()->first <= After(cluster_.now(), horizon_);
  return enough ? PassWalk(*this).RunQuick() : Pass();
}

}  // namespace slipway::plan
