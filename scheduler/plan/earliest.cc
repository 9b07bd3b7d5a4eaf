// SPDX-License-Identifier: Apache-2.0
// When does it fit, and where will that be? Each node has its own earliest time; n nodes at once are free at
// the n-th smallest of them, unless something planned on one of them begins in between: then the question is
// asked again from that time on, until nothing moves. No answer is ever later than the true one on the way,
// so the first that holds is exact.
#include <algorithm>

#include "scheduler/plan/cluster.h"

namespace slipway::plan {

Planned Cluster::Earliest(const Request& request, Instant length) {
  if (request.pattern == 0)
    return request.tasks > 0 ? EarliestSpread(request, length) : EarliestFixed(request, length);
  const Pattern& pattern = patterns_[request.pattern];
  if ((pattern.near.any() || pattern.all_of != 0) && request.tasks > 0)
    return EarliestSpread(request, length);
  if (pattern.near.any() || !pattern.counts.empty()) return EarliestCounted(request, length);
  Planned first;
  Request one = request;
  for (std::size_t i = 0; i < patterns_[request.pattern].one_of.size(); ++i) {
    one.where = patterns_[request.pattern].one_of[i].where;
    one.pattern = patterns_[request.pattern].one_of[i].pattern;
    Planned here = Earliest(one, length);
    if (here.start < first.start) first = std::move(here);
  }
  return first;
}

void Cluster::CollectEarliest(const Request& request, Instant length) {
  earliest_.clear();
  base_ = sets_[request.where];
  base_ &= usable_;
  base_.Each([&](NodeNumber node) {
    if (!total_[node].Holds(request.node)) return true;
    Instant at = lines_[node].Earliest(request.node, now_, length);
    if (at < kNever) earliest_.emplace_back(at, node);
    return true;
  });
}

Planned Cluster::EarliestFixed(const Request& request, Instant length) {
  std::size_t n = request.nodes_min;
  CollectEarliest(request, length);
  if (earliest_.size() < n) return {};
  again_ = earliest_;
  Instant start = now_;
  for (;;) {
    std::ranges::nth_element(again_, again_.begin() + static_cast<std::ptrdiff_t>(n) - 1);
    Instant next = again_[n - 1].first;
    if (!request.licences.empty()) next = licences_.Earliest(request.licences, next, length);
    if (next >= kNever) return {};
    if (next == start) break;
    start = next;
    for (auto& [at, node] : again_) {
      if (at < start)
        at = lines_[node].holds == 0 ? start : lines_[node].Earliest(request.node, start, length);
    }
  }
  // again_ says who is free at `start`, earliest_ since when: those that become free last are held.
  std::erase_if(again_, [&](const auto& entry) { return entry.first != start; });
  for (auto& [at, node] : again_) at = lines_[node].Earliest(request.node, now_, length);
  std::ranges::sort(again_, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  Planned planned{start, {}};
  for (std::size_t i = 0; i < n; ++i) planned.nodes.push_back({again_[i].second, 0});
  std::ranges::sort(planned.nodes);
  return planned;
}

// Nodes that can be used at `start`, those that become free last in front, into again_; whether they suffice.
bool Cluster::CollectCounted(const Request& request, Instant start, Instant length) {
  again_.clear();
  for (const auto& [at, node] : earliest_) {
    if (at <= start && lines_[node].Fits(request.node, start, After(start, length)))
      again_.emplace_back(at, node);
  }
  std::ranges::sort(again_, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  return again_.size() >= request.nodes_min;
}

// Every time at which something changes is tried in order: such requests are few.
Planned Cluster::EarliestCounted(const Request& request, Instant length) {
  CollectEarliest(request, length);
  if (earliest_.size() < request.nodes_min) return {};
  std::vector<Instant> times{now_};
  for (const auto& [at, node] : earliest_) lines_[node].AppendChanges(now_, times);
  licences_.AppendChanges(now_, times);
  std::ranges::sort(times);
  times.erase(std::unique(times.begin(), times.end()), times.end());
  Request least = request;
  least.nodes_max = request.nodes_min;
  auto at = [&](Instant start) -> std::optional<Placement> {
    if (!request.licences.empty() && !licences_.Fits(request.licences, start, After(start, length)))
      return std::nullopt;
    if (!CollectCounted(request, start, length)) return std::nullopt;
    if (patterns_[request.pattern].near.any()) {
      NodeBits able(total_.size());
      for (const auto& [since, node] : again_) able.Set(node);
      return PlaceNear(least, able, again_.size(), nullptr);
    }
    std::vector<NodeNumber> in_order;
    for (const auto& [since, node] : again_) in_order.push_back(node);
    return PlaceCounted(least, in_order);
  };
  // Halving finds a time that fits while the change before it does not; exact while nothing is planned.
  constexpr std::size_t kLooksMax = 1 << 18;
  if (times.size() * earliest_.size() <= kLooksMax) {
    for (Instant start : times) {
      if (auto nodes = at(start)) return {start, std::move(*nodes)};
    }
    return {};
  }
  if (!at(times.back())) return {};
  Instant start = *std::ranges::partition_point(times, [&](Instant time) { return !at(time).has_value(); });
  return {start, at(start).value_or(Placement{})};
}

Planned Cluster::EarliestSpread(const Request& request, Instant length) {
  std::vector<Instant> times{now_};
  base_ = sets_[request.where];
  base_ &= usable_;
  bool grows = licences_.holds == 0;
  std::size_t nodes = 0;
  base_.Each([&](NodeNumber node) {
    lines_[node].AppendChanges(now_, times);
    grows = grows && lines_[node].holds == 0;
    ++nodes;
    return true;
  });
  licences_.AppendChanges(now_, times);
  std::ranges::sort(times);
  times.erase(std::unique(times.begin(), times.end()), times.end());
  auto fits = [&](Instant at) {
    if (!request.licences.empty() && !licences_.Fits(request.licences, at, After(at, length))) return false;
    return SpreadTasks(request, at, length, nullptr).has_value();
  };
  // Every time is tried where that is cheap; elsewhere halving finds one that fits while the change before it
  // does not: the earliest when nothing is planned, a valid one always.
  constexpr std::size_t kLooksMax = 1 << 16;
  Instant start = kNever;
  if (!grows && times.size() * nodes <= kLooksMax) {
    auto found = std::ranges::find_if(times, fits);
    if (found != times.end()) start = *found;
  } else if (fits(times.back())) {
    start = *std::ranges::partition_point(times, [&](Instant at) { return !fits(at); });
  }
  if (start >= kNever) return {};
  return {start, SpreadTasks(request, start, length, nullptr).value_or(Placement{})};
}

}  // namespace slipway::plan
