// SPDX-License-Identifier: Apache-2.0
// Waiting jobs, grouped so that a pass looks at each distinct request once: jobs of one group differ in
// nothing that decides whether they fit, so only their first counts.
#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/plan/number_index.h"
#include "scheduler/plan/numbered.h"
#include "scheduler/plan/policy.h"
#include "scheduler/plan/request.h"

namespace slipway::plan {

using ShapeNumber = std::uint32_t;
using GroupNumber = std::uint32_t;
using LaneNumber = std::uint32_t;  // jobs whose ranks move together (one user's, say)
using LimitSet = std::uint32_t;    // what jobs are counted against

inline constexpr GroupNumber kNoGroup = UINT32_MAX;

struct Shape {
  Request request;
  std::uint32_t jobs = 0;              // waiting, planned or running; 0: the number is free again
  GroupNumber first_group = kNoGroup;  // of those that wait: a list in no order that may decide anything
  // No group waits for less, and none has a better place (of its first job, with its lane's offset). They
  // may be lower than they need be, until Planner::Pass looks at all groups.
  Instant least = kNever;
  Rank rank = INT64_MAX;
  // Within a pass, and until something is freed: does not fit for this length or longer.
  Instant blocked_length = kNever;
  // So many nodes were missing when that was found out, and so many have come since: with fewer there is no
  // need to look again. 0: not known.
  std::uint32_t deficit = 0, gain = 0, more = 0;  // more: of the gain, by the last change
  Instant deficit_length = kNever;                // for jobs at least that long
  // Whether it would fit if nothing ran (the lowest bit), and for which version of the cluster that is known.
  std::uint64_t could_run_at = 0;
};

struct Entry {
  Rank rank = 0;
  JobNumber job = 0;
  Rank backfill_rank = 0;
  std::uint32_t prefer = 0;  // a set of nodes; 0: none
  auto operator<=>(const Entry&) const = default;
};

struct Group {
  ShapeNumber shape = 0;
  LaneNumber lane = 0;
  LimitSet limits = 0;
  std::uint32_t head = 0;
  GroupNumber next = kNoGroup, before = kNoGroup;  // of its shape's
  Instant length = 0, least = 0;                   // least: may be started for as short
  std::vector<Entry> entries;                      // ascending from `head`
  bool empty() const { return head == entries.size(); }
  const Entry& front() const { return entries[head]; }
};

class Queue {
 public:
  ShapeNumber AddShape(const Request& request, bool* is_new);  // counts one job
  void DropShape(ShapeNumber shape);
  Shape& shape(ShapeNumber number) { return shapes_[number]; }
  const Shape& shape(ShapeNumber number) const { return shapes_[number]; }
  Numbered<Shape>& shapes() { return shapes_; }
  std::size_t shape_count() const { return shape_index_.size(); }

  GroupNumber Insert(ShapeNumber shape, Instant length, Instant least, LaneNumber lane, LimitSet limits,
                     const Entry& entry);
  void Remove(GroupNumber group, const Entry& entry);
  Group& group(GroupNumber number) { return groups_[number]; }
  const Group& group(GroupNumber number) const { return groups_[number]; }
  // Those of the shape that are not empty, in no order that may decide anything.
  template <class See>
  void EachGroup(const Shape& shape, See see) const {
    for (GroupNumber at = shape.first_group; at != kNoGroup; at = groups_[at].next) see(at);
  }
  // Of all shapes, likewise.
  template <class See>
  void EachGroup(See see) const {
    for (GroupNumber at = 0; at < groups_.size(); ++at) {
      if (!groups_[at].empty()) see(at);
    }
  }
  // How many groups wait that count against these limits.
  std::uint32_t groups_of(LimitSet set) const { return set < by_limits_.size() ? by_limits_[set] : 0; }
  std::size_t jobs() const { return jobs_; }

 private:
  GroupNumber NewGroup();
  void Link(GroupNumber number);
  void Unlink(const Group& group);
  Numbered<Shape> shapes_;
  std::vector<ShapeNumber> free_shapes_;
  NumberIndex shape_index_;  // by what they ask for
  Numbered<Group> groups_;
  std::vector<GroupNumber> free_groups_;
  NumberIndex group_index_;               // by all that its jobs have in common
  std::vector<std::uint32_t> by_limits_;  // groups
  std::size_t jobs_ = 0;
};

}  // namespace slipway::plan
