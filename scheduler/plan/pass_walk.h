// SPDX-License-Identifier: Apache-2.0
// One pass over the queue, as its own files see it: pass.cc walks, pass_quick.cc has what a quick pass does
// otherwise, pass_gangs.cc the jobs that start together. Private to the planner.
#pragma once

#include <optional>
#include <vector>

#include "scheduler/plan/planner.h"

namespace slipway::plan {

class PassWalk {
 public:
  explicit PassWalk(Planner& planner) : p_(planner), now_(planner.cluster_.now()) {}

  std::vector<PlanStart> Run();

  // Only what the changes since the last pass may let in. Planned jobs that start free what was held for them
  // later on, which may let in others: until nothing is freed any more.
  std::vector<PlanStart> RunQuick();

 private:
  // What comes next in a walk. Not a group's first job but a planned job (or gang, by its first), a gang that
  // waits, or all groups of a shape.
  static constexpr GroupNumber kPlannedJob = UINT32_MAX, kGang = UINT32_MAX - 1, kShape = UINT32_MAX - 2;
  struct Head {
    Rank rank = 0;
    JobNumber job = 0;  // of a shape 0: before its groups
    GroupNumber group = 0;
    ShapeNumber shape = 0;
  };
  struct Later {
    bool operator()(const Head& a, const Head& b) const {
      return a.rank != b.rank ? a.rank > b.rank : a.job > b.job;
    }
  };

  void Walk();
  void Fill();
  void FillGained(Planner::Changes& changes);
  void FillFreed(const Planner::Changes& changes, std::vector<bool>& look);
  void AddAllowed(const Planner::Changes& changes, const std::vector<bool>& look,
                  std::vector<GroupNumber>& groups);
  void FillPlanned(const Planner::Changes& changes);
  void Push(GroupNumber number, bool heap);
  bool IsGangsOther(JobNumber id) const { return p_.GangOf(id) != nullptr && !p_.gangs_.contains(id); }

  void PushShape(ShapeNumber number);
  void PushGang(JobNumber first);

  // Starts all of them if they fit together now. They are held nowhere, and were to be at `promised`.
  bool StartGang(JobNumber first, std::vector<Planned> promised = {});
  Instant LongestOf(const Planner::Gang& gang) const;
  void ConsiderGang(JobNumber first);

  // As ConsiderPlanned, of all of them at once.
  void ConsiderPlannedGang(JobNumber first);

  // The rest of this walk is in the order of overtaking.
  void Reorder();
  struct Room {
    Placement nodes;
    Instant length = 0;
  };
  // Where the job fits now: for all of its time, else for as long as it can be, which may be a little as
  // `least`.
  std::optional<Room> RoomFor(const Request& request, Instant length, Instant least, const Entry& entry);

  // Starts it if it fits now; else it stays as it is planned.
  void StartPlanned(Planner::Job& job);

  // A planned job: start it, or plan it earlier if something was freed since.
  void ConsiderPlanned(Planner::Job& job);

  // Nothing to be planned on, or not allowed, any more: it waits like others.
  void Unplan(Planner::Job& job);

  // What was freed at a later time may let a job in that was found blocked before.
  void Moved();
  void ConsiderGroup(GroupNumber number);

  // Of what was freed so many nodes could be used by the request.
  std::uint32_t FreedFor(const Request& request) const;
  // Its turn in a quick pass: its groups have theirs, but for those whose jobs cannot start as things are.
  void ConsiderShape(ShapeNumber number);
  Instant PushThoseThatFit(Shape& shape);
  bool Refused(Shape& shape, Instant least);
  void ReopenAfter(const Head& planned);
  bool NoneIsToBePlanned();
  // What was found out now: it does not fit for so long.
  void Blocked(Shape& shape, Instant least);

  // A quick pass plans nothing. Where it is bounds, and not that enough are planned, that have left few to be
  // planned, one that comes and is within them is not to wait for its promise: nothing else may start before.
  void NotPlanned(const Group& group);
  bool MayBeToBePlanned() const;

  // Of what was freed others have taken so much that it cannot make up for what was missing. Not where more
  // was freed in this walk.
  bool StillMissing(Instant least, Shape& shape) const;
  bool MayStart(const Group& group, const Shape& shape) const;

  // Nothing overtakes. A policy that keeps its choice remembers it as planned for no time.
  void StopAt(GroupNumber number, Planner::Job& job);

  // Takes the group's first job out of the queue; the next one takes its place in this walk.
  void Dequeue(GroupNumber number, const Planner::Job& job);
  void Start(Planner::Job& job, Room room);
  const NodeBits* Prefer(const Entry& entry) const;

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
  // Quick: a shape of which not all groups have had a turn, while planned jobs were still to be looked at.
  struct LeftOut {
    ShapeNumber shape = 0;
    Instant longest = 0;  // those that want more have had none
  };
  std::vector<LeftOut> left_out_;
  std::size_t planned_heads_ = 0;            // quick: planned jobs that are still to be looked at
  std::optional<std::size_t> none_open_at_;  // quick: with so many planned no limit lets another be planned
  bool blocked_any_ = false, stop_ = false, before_backfill_ = false;
};

}  // namespace slipway::plan
