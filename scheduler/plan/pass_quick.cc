// SPDX-License-Identifier: Apache-2.0
// A pass that looks only at what changes since the last one may let in. What something that was freed may let
// in are shapes of requests, each with all its groups (of users and limits, of which there may be as many as
// jobs). Few of these shapes fit: so each is first asked about as a whole, at the shortest time that any of
// its jobs wants, and only where that fits are its groups put in order. What is left out so would have been
// found blocked one group after the other, as long as nothing is freed meanwhile.
#include <algorithm>
#include <set>
#include <utility>

#include "base/result/result.h"
#include "scheduler/plan/pass_walk.h"

namespace slipway::plan {

std::vector<PlanStart> PassWalk::RunQuick() {
  ++p_.statistics_.quick_passes;
  quick_ = true;
  planned_count_ = p_.rules_.reservations;
  Planner::Changes changes = std::exchange(p_.changes_, {.everywhere = false});
  do {
    ++p_.statistics_.walks;
    heads_.clear();
    left_out_.clear();
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

void PassWalk::FillGained(Planner::Changes& changes) {
  std::ranges::sort(changes.freed);
  changes.freed.erase(std::unique(changes.freed.begin(), changes.freed.end()), changes.freed.end());
  std::vector<bool> pushed(p_.queue_.shapes().size(), false);
  std::vector<GroupNumber> groups;  // each once, however many of its jobs have come: it may be empty by then
  std::set<JobNumber> gangs;        // likewise: one may have been taken out and have come again
  if (!changes.freed.empty() || changes.licences || !changes.limits.empty()) FillFreed(changes, pushed);
  if (!changes.limits.empty()) AddAllowed(changes, pushed, groups);
  for (JobNumber id : changes.arrived) {
    auto job = p_.jobs_.find(id);
    if (job != p_.jobs_.end() && job->second.state == Planner::JobState::kWaiting &&
        !pushed[job->second.shape])
      groups.push_back(job->second.group);
    if (p_.gangs_.contains(id)) gangs.insert(id);  // those that wait longer are looked at in a whole pass
  }
  for (JobNumber first : gangs) PushGang(first);
  std::ranges::sort(groups);
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  for (GroupNumber group : groups) Push(group, false);
}

std::uint32_t PassWalk::FreedFor(const Request& request) const {
  return static_cast<std::uint32_t>(std::ranges::count_if(
      *quick_freed_, [&](NodeNumber node) { return p_.cluster_.CouldUse(request, node); }));
}

void PassWalk::FillFreed(const Planner::Changes& changes, std::vector<bool>& look) {
  quick_freed_ = &changes.freed;
  // More than any of them has: what does not fit here fits on none. And where even all of them would not
  // make up for what is missing, there is no need to look at each.
  Vec most;
  for (NodeNumber node : changes.freed) {
    for (std::size_t i = 0; i < kDims; ++i) most[i] = std::max(most[i], p_.cluster_.Free(node)[i]);
  }
  auto all = static_cast<std::uint32_t>(changes.freed.size());
  Numbered<Shape>& shapes = p_.queue_.shapes();
  for (ShapeNumber i = 0; i < shapes.size(); ++i) {
    Shape& shape = shapes[i];
    if (shape.jobs == 0) continue;
    const Request& request = shape.request;
    bool tasks = request.tasks > 0;
    std::uint32_t more = 0;
    if (most.Holds(tasks ? request.node + request.task : request.node))
      more = !tasks && shape.gain + all < shape.deficit ? all : FreedFor(request);
    shape.gain += more;
    shape.more = more;
    bool enough = more > 0 && (tasks || shape.gain >= shape.deficit);
    look[i] = enough || (changes.licences && !request.licences.empty());
    if (!look[i]) continue;
    shape.blocked_length = kNever;
    PushShape(i);
  }
  FillPlanned(changes);
}

// Groups of other shapes that count against a limit of which something was given back.
void PassWalk::AddAllowed(const Planner::Changes& changes, const std::vector<bool>& look,
                          std::vector<GroupNumber>& groups) {
  std::set<std::uint32_t> limits;
  for (LimitSet set : changes.limits) {
    for (std::uint32_t number : p_.limit_sets_[set]) {
      if (p_.limits_[number].BoundsRunning()) limits.insert(number);
    }
  }
  if (limits.empty()) return;
  std::vector<bool> allowed;
  for (const std::vector<std::uint32_t>& set : p_.limit_sets_)
    allowed.push_back(std::ranges::any_of(set, [&](std::uint32_t limit) { return limits.contains(limit); }));
  Numbered<Shape>& shapes = p_.queue_.shapes();
  for (ShapeNumber i = 0; i < shapes.size(); ++i) {
    if (look[i]) continue;
    p_.queue_.EachGroup(shapes[i], [&](GroupNumber number) {
      if (!allowed[p_.queue_.group(number).limits]) return;
      shapes[i].blocked_length = kNever;
      groups.push_back(number);
    });
  }
}

void PassWalk::FillPlanned(const Planner::Changes& changes) {
  bool any = false;  // where none could start as things are, none can later in this walk
  std::vector<Head> heads;
  for (const auto& [start, id] : p_.planned_) {
    if (p_.GangOf(id) != nullptr) continue;  // in a whole pass
    const Planner::Job& job = p_.jobs_.at(id);
    const Request& request = p_.queue_.shape(job.shape).request;
    const bool allowed = !changes.limits.empty() && p_.BoundsRunning(job.limits);
    const bool licences = changes.licences && !request.licences.empty();
    if (!allowed && !licences && FreedFor(request) == 0) continue;
    if (!p_.cluster_.FitsNow(request, 1)) continue;
    heads.push_back({job.entry.rank + p_.lanes_[job.lane], id, kPlannedJob});
    any = any || p_.cluster_.FitsNowWithout(request, job.least, {job.start, job.nodes});
  }
  planned_heads_ = any ? heads.size() : 0;
  if (any) heads_.insert(heads_.end(), heads.begin(), heads.end());
}

void PassWalk::PushShape(ShapeNumber number) {
  const Shape& shape = p_.queue_.shape(number);
  if (shape.first_group == kNoGroup) return;
  if (p_.queue_.group(shape.first_group).next == kNoGroup) return Push(shape.first_group, false);
  heads_.push_back({shape.rank, 0, kShape, number});
}

// No room now is none later, as long as nothing is freed in this walk: only groups whose jobs fit as things
// are get a turn. For tasks and patterns a choice is looked for, which is not exact.
void PassWalk::ConsiderShape(ShapeNumber number) {
  Shape& shape = p_.queue_.shape(number);
  if (shape.request.tasks > 0 || shape.request.pattern != 0 || !NoneIsToBePlanned())
    return p_.queue_.EachGroup(shape, [&](GroupNumber group) { Push(group, true); });
  LeftOut left{number, 0};
  if (!Refused(shape, shape.least)) left.longest = PushThoseThatFit(shape);
  if (planned_heads_ > 0 && shape.blocked_length < kNever) left_out_.push_back(left);
}

// Whether it does not fit for so long.
bool PassWalk::Refused(Shape& shape, Instant least) {
  if (StillMissing(least, shape)) {
    shape.blocked_length = least;
    return true;
  }
  if (p_.cluster_.FitsNow(shape.request, least)) return false;
  Blocked(shape, least);
  return true;
}

// Returns for how long it fits, of the lengths that its groups want.
Instant PassWalk::PushThoseThatFit(Shape& shape) {
  Instant longest = shape.least;
  p_.queue_.EachGroup(shape, [&](GroupNumber number) {
    const Instant least = p_.queue_.group(number).least;
    if (least >= shape.blocked_length || (least > longest && Refused(shape, least))) return;
    longest = std::max(longest, least);
    Push(number, true);
  });
  return longest;
}

// A planned job has started, and what was held for it may let in what comes after it. Those before it have
// had their turn, and it is known of their shape what they would have found out.
void PassWalk::ReopenAfter(const Head& planned) {
  for (const LeftOut& left : left_out_) {
    Shape& shape = p_.queue_.shape(left.shape);
    Instant blocked = kNever;
    p_.queue_.EachGroup(shape, [&](GroupNumber number) {
      const Group& group = p_.queue_.group(number);
      const Head head{group.front().rank + p_.lanes_[group.lane], group.front().job, number};
      if (!Later()(planned, head)) {
        if (group.least > left.longest) Push(number, true);
      } else if (p_.LimitsAllow(group.limits, shape.request)) {
        blocked = std::min(blocked, group.least);
      }
    });
    if (shape.blocked_length > left.longest) shape.blocked_length = blocked;
  }
  left_out_.clear();
}

// Whether NotPlanned would say nothing of any group.
bool PassWalk::NoneIsToBePlanned() {
  const std::size_t planned = p_.PlannedJobs();
  if (p_.plannable_ >= p_.rules_.reservations || planned >= p_.rules_.reservations) return true;
  if (none_open_at_ == planned) return true;
  for (LimitSet set = 0; set < p_.limit_sets_.size(); ++set) {
    if (p_.queue_.groups_of(set) > 0 && !p_.PlansNoMore(set)) return false;
  }
  none_open_at_ = planned;
  return true;
}

void PassWalk::StartPlanned(Planner::Job& job) {
  --planned_heads_;
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
      if (!stop_) ReopenAfter({job.entry.rank + p_.lanes_[job.lane], job.entry.job, kPlannedJob});
      return;
    }
  }
  p_.Hold(job, std::move(before));
  job.planned_at = planned_at;
}

bool PassWalk::MayBeToBePlanned() const {
  return quick_ && p_.plannable_ < p_.rules_.reservations && p_.PlannedJobs() < p_.rules_.reservations;
}

void PassWalk::NotPlanned(const Group& group) {
  if (!stop_ && MayBeToBePlanned()) stop_ = !p_.PlansNoMore(group.limits);
}

bool PassWalk::StillMissing(Instant least, Shape& shape) const {
  if (quick_freed_ == nullptr || !freed_.empty() || shape.deficit == 0 || shape.gain < shape.more ||
      least < shape.deficit_length)
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

}  // namespace slipway::plan
