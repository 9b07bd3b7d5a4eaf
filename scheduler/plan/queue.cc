// SPDX-License-Identifier: Apache-2.0
#include "scheduler/plan/queue.h"

#include <algorithm>

#include "base/result/result.h"

namespace slipway::plan {

namespace {

class Hash {
 public:
  void Mix(std::uint64_t value) {
    value_ = (value_ ^ value) * 0x9fb21c651e98df25;
    value_ ^= value_ >> 32;
  }
  void Mix(const Vec& vec) {
    for (std::int64_t value : vec.at) Mix(static_cast<std::uint64_t>(value));
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

std::uint64_t HashOf(const Request& request) {
  Hash hash;
  hash.Mix(request.node);
  if (!request.task.empty()) hash.Mix(request.task);
  if (!request.licences.empty()) hash.Mix(request.licences);
  for (std::uint32_t value :
       {request.where, request.pattern, request.nodes_min, request.nodes_max, request.tasks,
        request.tasks_per_node, static_cast<std::uint32_t>(request.spreading)})
    hash.Mix(value);
  return hash.value();
}

std::uint64_t HashOf(ShapeNumber shape, Instant length, Instant least, LaneNumber lane, LimitSet limits) {
  Hash hash;
  for (std::uint64_t value : {std::uint64_t{shape} << 32 | lane, static_cast<std::uint64_t>(length),
                              static_cast<std::uint64_t>(least), std::uint64_t{limits}})
    hash.Mix(value);
  return hash.value();
}

}  // namespace

ShapeNumber Queue::AddShape(const Request& request, bool* is_new) {
  const std::uint64_t hash = HashOf(request);
  auto known = shape_index_.Find(hash, [&](ShapeNumber one) { return shapes_[one].request == request; });
  *is_new = !known.has_value();
  if (known) {
    ++shapes_[*known].jobs;
    return *known;
  }
  ShapeNumber number;
  if (free_shapes_.empty()) {
    number = shapes_.Append();
  } else {
    number = free_shapes_.back();
    free_shapes_.pop_back();
  }
  shape_index_.Insert(hash, number);
  shapes_[number] = {.request = request, .jobs = 1};
  return number;
}

void Queue::DropShape(ShapeNumber number) {
  Shape& shape = shapes_[number];
  CHECK(shape.jobs > 0);
  if (--shape.jobs > 0) return;
  shape_index_.Erase(HashOf(shape.request), number);
  free_shapes_.push_back(number);
}

GroupNumber Queue::NewGroup() {
  GroupNumber number;
  if (free_groups_.empty()) {
    number = groups_.Append();
  } else {
    number = free_groups_.back();
    free_groups_.pop_back();
  }
  groups_[number].entries.clear();
  groups_[number].head = 0;
  return number;
}

void Queue::Link(GroupNumber number) {
  Group& group = groups_[number];
  GroupNumber& first = shapes_[group.shape].first_group;
  group.before = kNoGroup;
  group.next = first;
  if (first != kNoGroup) groups_[first].before = number;
  first = number;
  if (group.limits >= by_limits_.size()) by_limits_.resize(group.limits + 1, 0);
  ++by_limits_[group.limits];
}

void Queue::Unlink(const Group& group) {
  (group.before == kNoGroup ? shapes_[group.shape].first_group : groups_[group.before].next) = group.next;
  if (group.next != kNoGroup) groups_[group.next].before = group.before;
  --by_limits_[group.limits];
}

GroupNumber Queue::Insert(ShapeNumber shape, Instant length, Instant least, LaneNumber lane, LimitSet limits,
                          const Entry& entry) {
  const std::uint64_t hash = HashOf(shape, length, least, lane, limits);
  auto known = group_index_.Find(hash, [&](GroupNumber one) {
    const Group& group = groups_[one];
    return group.shape == shape && group.length == length && group.least == least && group.lane == lane &&
           group.limits == limits;
  });
  const GroupNumber number = known ? *known : NewGroup();
  Group& group = groups_[number];
  if (!known) {
    group.shape = shape;
    group.length = length;
    group.least = least;
    group.lane = lane;
    group.limits = limits;
    group_index_.Insert(hash, number);
    Link(number);
  }
  shapes_[shape].least = std::min(shapes_[shape].least, least);
  if (group.empty() || group.entries.back() < entry) {
    group.entries.push_back(entry);
  } else {
    auto begin = group.entries.begin() + static_cast<std::ptrdiff_t>(group.head);
    group.entries.insert(std::upper_bound(begin, group.entries.end(), entry), entry);
  }
  ++jobs_;
  return number;
}

void Queue::Remove(GroupNumber number, const Entry& entry) {
  Group& group = groups_[number];
  CHECK(!group.empty());
  if (group.front() == entry) {
    ++group.head;
  } else {
    auto begin = group.entries.begin() + static_cast<std::ptrdiff_t>(group.head);
    auto found = std::lower_bound(begin, group.entries.end(), entry);
    CHECK(found != group.entries.end() && *found == entry);
    group.entries.erase(found);
  }
  --jobs_;
  if (!group.empty()) {
    if (group.head >= 32 && group.head * 2 >= group.entries.size()) {
      group.entries.erase(group.entries.begin(),
                          group.entries.begin() + static_cast<std::ptrdiff_t>(group.head));
      group.head = 0;
    }
    return;
  }
  Unlink(group);
  group_index_.Erase(HashOf(group.shape, group.length, group.least, group.lane, group.limits), number);
  free_groups_.push_back(number);
}

}  // namespace slipway::plan
