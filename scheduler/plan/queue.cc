// SPDX-License-Identifier: Apache-2.0
#include "scheduler/plan/queue.h"

#include <algorithm>

#include "base/result/result.h"

namespace slipway::plan {

namespace {

std::uint64_t HashOf(const Request& request) {
  std::uint64_t hash = 0xcbf29ce484222325;
  auto mix = [&hash](std::uint64_t value) {
    hash = (hash ^ value) * 0x9fb21c651e98df25;
    hash ^= hash >> 32;
  };
  for (std::size_t i = 0; i < kDims; ++i) {
    mix(static_cast<std::uint64_t>(request.node[i]));
    mix(static_cast<std::uint64_t>(request.task[i]));
    mix(static_cast<std::uint64_t>(request.licences[i]));
  }
  for (std::uint32_t value :
       {request.where, request.pattern, request.nodes_min, request.nodes_max, request.tasks,
        request.tasks_per_node, static_cast<std::uint32_t>(request.spreading)})
    mix(value);
  return hash;
}

}  // namespace

ShapeNumber Queue::AddShape(const Request& request, bool* is_new) {
  const std::uint64_t hash = HashOf(request);
  auto [at, end] = by_hash_.equal_range(hash);
  for (; at != end; ++at) {
    if (shapes_[at->second].request != request) continue;
    *is_new = false;
    ++shapes_[at->second].jobs;
    return at->second;
  }
  *is_new = true;
  ShapeNumber number;
  if (free_shapes_.empty()) {
    number = static_cast<ShapeNumber>(shapes_.size());
    shapes_.emplace_back();
  } else {
    number = free_shapes_.back();
    free_shapes_.pop_back();
  }
  by_hash_.emplace(hash, number);
  shapes_[number] = {.request = request, .jobs = 1};
  return number;
}

void Queue::DropShape(ShapeNumber number) {
  Shape& shape = shapes_[number];
  CHECK(shape.jobs > 0);
  if (--shape.jobs > 0) return;
  auto [at, end] = by_hash_.equal_range(HashOf(shape.request));
  at = std::find_if(at, end, [&](const auto& entry) { return entry.second == number; });
  CHECK(at != end);
  by_hash_.erase(at);
  free_shapes_.push_back(number);
}

GroupNumber Queue::Insert(ShapeNumber shape, Instant length, Instant least, LaneNumber lane, LimitSet limits,
                          const Entry& entry) {
  auto [place, added] = by_key_.try_emplace({shape, length, least, lane, limits}, 0);
  if (added) {
    if (free_groups_.empty()) {
      place->second = static_cast<GroupNumber>(groups_.size());
      groups_.emplace_back();
      place_.push_back(0);
    } else {
      place->second = free_groups_.back();
      free_groups_.pop_back();
    }
    Group& group = groups_[place->second];
    group.shape = shape;
    group.length = length;
    group.least = least;
    group.lane = lane;
    group.limits = limits;
    group.entries.clear();
    group.head = 0;
    place_[place->second] = static_cast<std::uint32_t>(active_.size());
    active_.push_back(place->second);
  }
  Group& group = groups_[place->second];
  if (group.empty() || group.entries.back() < entry) {
    group.entries.push_back(entry);
  } else {
    auto begin = group.entries.begin() + static_cast<std::ptrdiff_t>(group.head);
    group.entries.insert(std::upper_bound(begin, group.entries.end(), entry), entry);
  }
  ++jobs_;
  return place->second;
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
  std::uint32_t place = place_[number];
  active_[place] = active_.back();
  place_[active_[place]] = place;
  active_.pop_back();
  by_key_.erase({group.shape, group.length, group.least, group.lane, group.limits});
  free_groups_.push_back(number);
}

}  // namespace slipway::plan
