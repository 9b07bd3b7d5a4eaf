// SPDX-License-Identifier: Apache-2.0
// Does it fit now, and where?
#include <algorithm>
#include <utility>

#include "scheduler/plan/cluster.h"
#include "scheduler/plan/spread.h"

namespace slipway::plan {

std::size_t Cluster::CollectFit(const Request& request, const Vec& need, Instant end, std::size_t wanted) {
  bool look = thresholds_.Select(need, sets_[request.where], usable_, sure_, maybe_);
  const NodeBits& held = HeldBefore(end);
  std::size_t count = 0, most = 0;
  for (std::size_t i = 0; i < sure_.words(); ++i) {
    std::uint64_t word = sure_.word(i) & ~held.word(i);
    fit_.SetWord(i, word);
    count += CountBits(word);
    most += CountBits(maybe_.word(i));
  }
  // Not even with all that might: no close look is worth it.
  if (most < request.nodes_min && wanted != SIZE_MAX) return last_count_ = most;
  auto look_at = [&](auto candidates, auto fits) {
    for (std::size_t i = 0; i < sure_.words() && count < wanted; ++i) {
      for (std::uint64_t word = candidates(i); word != 0; word &= word - 1) {
        auto node = static_cast<NodeNumber>(64 * i + static_cast<std::size_t>(std::countr_zero(word)));
        if (!fits(node)) continue;
        fit_.Set(node);
        if (++count >= wanted) break;
      }
    }
  };
  if (look) {
    look_at([&](std::size_t i) { return maybe_.word(i) & ~sure_.word(i) & ~held.word(i); },
            [&](NodeNumber node) { return free_[node].Holds(need); });
  }
  look_at([&](std::size_t i) { return maybe_.word(i) & held.word(i); },
          [&](NodeNumber node) { return lines_[node].Fits(need, now_, end); });
  return last_count_ = count;
}

bool Cluster::FitsNowWithout(const Request& request, Instant length, const Planned& own) {
  if (request.tasks > 0 || request.pattern != 0 || !request.licences.empty()) return true;  // to be tried
  Instant end = After(now_, length);
  std::size_t count = CollectFit(request, request.node, end, SIZE_MAX);
  for (const NodeShare& share : own.nodes) {
    if (count >= request.nodes_min) return true;
    if (fit_.Has(share.node) || !usable_.Has(share.node)) continue;
    Timeline line = lines_[share.node];
    line.Give(request.node, own.start, After(own.start, length));
    count += line.Fits(request.node, now_, end) ? 1 : 0;
  }
  return count >= request.nodes_min;
}

bool Cluster::LicencesFit(const Request& request, Instant length) const {
  return request.licences.empty() || licences_.Fits(request.licences, now_, After(now_, length));
}

// Each of the sets of which it may be one, as a request of its own, until one succeeds.
template <class Try>
auto Cluster::FirstOf(const Request& request, Try attempt) {
  Request one = request;
  decltype(attempt(one)) answer{};
  const std::size_t sets = patterns_[request.pattern].one_of.size();
  for (std::size_t i = 0; i < sets && !answer; ++i) {
    one.where = patterns_[request.pattern].one_of[i].where;
    one.pattern = patterns_[request.pattern].one_of[i].pattern;
    answer = attempt(one);
  }
  return answer;
}

std::vector<const NodeBits*> Cluster::SetsOf(const Pattern& pattern) const {
  std::vector<const NodeBits*> sets;
  for (const NodeCount& count : pattern.counts) sets.push_back(&sets_[count.set]);
  return sets;
}

// Those in `prefer` (null: none) first.
std::vector<NodeNumber> Cluster::InOrder(const NodeBits& nodes, const NodeBits* prefer) const {
  std::vector<NodeNumber> order;
  nodes.Each([&](NodeNumber node) { return order.push_back(node), true; });
  if (prefer != nullptr)
    std::stable_partition(order.begin(), order.end(),
                          [&](NodeNumber node) { return node < prefer->size() && prefer->Has(node); });
  return order;
}

std::optional<Placement> Cluster::PlaceCounted(const Request& request,
                                               std::span<const NodeNumber> in_order) const {
  const Pattern& pattern = patterns_[request.pattern];
  auto chosen =
      ChooseCounted(in_order, pattern.counts, SetsOf(pattern), request.nodes_min, request.nodes_max);
  if (!chosen) return std::nullopt;
  Placement nodes;
  for (NodeNumber node : *chosen) nodes.push_back({node, 0});
  return nodes;
}

// Of `count` nodes that are able. A range of nodes that cannot be had near one another is tried at its least.
std::optional<Placement> Cluster::PlaceNear(const Request& request, const NodeBits& able, std::size_t count,
                                            const NodeBits* prefer) const {
  std::size_t least = request.nodes_min;
  std::size_t most = std::min(count, std::max<std::size_t>(request.nodes_max, least));
  if (count < least) return std::nullopt;
  const Nearness& near = patterns_[request.pattern].near;
  auto chosen = ChooseNear(topology_, able, near, most, prefer);
  if (!chosen && most > least) chosen = ChooseNear(topology_, able, near, least, prefer);
  if (!chosen) return std::nullopt;
  Placement nodes;
  for (NodeNumber node : *chosen) nodes.push_back({node, 0});
  return nodes;
}

bool Cluster::FitsNow(const Request& request, Instant length) {
  if (request.pattern != 0) return PlaceNow(request, length, nullptr).has_value();
  if (!LicencesFit(request, length)) return false;
  if (request.tasks > 0) return SpreadTasks(request, now_, length, nullptr).has_value();
  return CollectFit(request, request.node, After(now_, length), request.nodes_min) >= request.nodes_min;
}

std::optional<Placement> Cluster::ChooseFixed(const Request& request, std::size_t count,
                                              const NodeBits* prefer) const {
  std::vector<NodeNumber> order = InOrder(fit_, prefer);
  order.resize(std::min({order.size(), count, std::size_t{std::max(request.nodes_max, request.nodes_min)}}));
  Placement nodes;
  for (NodeNumber node : order) nodes.push_back({node, 0});
  std::ranges::sort(nodes);
  return nodes;
}

std::optional<Placement> Cluster::PlaceNow(const Request& request, Instant length, const NodeBits* prefer) {
  if (!LicencesFit(request, length)) return std::nullopt;
  if (request.pattern != 0) {
    last_count_ = 0;
    if (!patterns_[request.pattern].one_of.empty())
      return FirstOf(request, [&](const Request& one) { return PlaceNow(one, length, prefer); });
    if (patterns_[request.pattern].near.any()) {
      if (request.tasks > 0) return SpreadTasks(request, now_, length, prefer);
      return PlaceNear(request, fit_, CollectFit(request, request.node, After(now_, length), SIZE_MAX),
                       prefer);
    }
    // As Earliest has it, or a job is planned for now for ever.
    if (patterns_[request.pattern].all_of != 0 && request.tasks > 0)
      return SpreadTasks(request, now_, length, prefer);
    CollectFit(request, request.node, After(now_, length), SIZE_MAX);
    return PlaceCounted(request, InOrder(fit_, prefer));
  }
  if (request.tasks > 0) return SpreadTasks(request, now_, length, prefer);
  std::size_t wanted = std::max(request.nodes_max, request.nodes_min);
  if (!topology_.flat() || looks_at_all_) wanted = std::max<std::size_t>(wanted, total_.size());
  std::size_t count = CollectFit(request, request.node, After(now_, length), wanted);
  if (count < request.nodes_min) return std::nullopt;
  if (!topology_.flat()) return PlaceNear(request, fit_, count, prefer);
  return ChooseFixed(request, count, prefer);
}

std::size_t Cluster::CountFit(const Request& request, Instant length) {
  if (request.tasks == 0) return CollectFit(request, request.node, After(now_, length), SIZE_MAX);
  std::size_t tasks = 0;
  for (std::uint32_t here : Capacities(request, now_, length)) tasks += here;
  return tasks;
}

Counts Cluster::Capacities(const Request& request, Instant from, Instant length) {
  Counts capacity(total_.size(), 0);
  std::int64_t most = request.tasks_per_node > 0 ? request.tasks_per_node : request.tasks;
  Vec least = request.node + request.task;
  base_ = sets_[request.where];
  base_ &= usable_;
  Instant end = After(from, length);
  base_.Each([&](NodeNumber node) {
    Vec room = from == now_ && lines_[node].holds == 0 ? free_[node] : lines_[node].LeastOver(from, end);
    if (room.Holds(least)) {
      capacity[node] = static_cast<std::uint32_t>(TimesIn(request.task, room - request.node, most));
    }
    return true;
  });
  return capacity;
}

std::optional<Placement> Cluster::SpreadTasks(const Request& request, Instant from, Instant length,
                                              const NodeBits* prefer) {
  return SpreadOver(request, Capacities(request, from, length), prefer);
}

std::optional<Placement> Cluster::SpreadOver(const Request& request, const Counts& capacity,
                                             const NodeBits* prefer) const {
  Spread spread{request.tasks,
                1,
                request.nodes_min,
                request.nodes_max,
                request.nodes_min > 1 && request.spreading != Spreading::kFill,
                request.spreading == Spreading::kMany};
  const std::uint32_t all_of = patterns_[request.pattern].all_of;
  if (all_of != 0) spread.required = static_cast<std::uint32_t>(sets_[all_of].Count());
  auto over = [&](const NodeBits& nodes) -> std::optional<Placement> {
    std::vector<NodeNumber> order = InOrder(nodes, prefer);
    if (all_of != 0)
      std::stable_partition(order.begin(), order.end(),
                            [&](NodeNumber node) { return sets_[all_of].Has(node); });
    Counts in_order;
    for (NodeNumber node : order) in_order.push_back(capacity[node]);
    std::optional<Counts> counts = ChooseCounts(spread, in_order);
    if (!counts) return std::nullopt;
    Placement chosen;
    for (std::size_t i = 0; i < order.size(); ++i) {
      if ((*counts)[i] > 0) chosen.push_back({order[i], (*counts)[i]});
    }
    std::ranges::sort(chosen);
    return chosen;
  };
  const Nearness& near = patterns_[request.pattern].near;
  if (all_of != 0) {
    bool able = true;
    sets_[all_of].Each([&](NodeNumber node) { return able = able && capacity[node] > 0; });
    if (!able) return std::nullopt;
  } else if (near.any() || (!topology_.flat() && !spread.widely)) {
    NodeBits close =
        ChooseNearRoom(topology_, capacity, near, {request.tasks, request.nodes_min, request.nodes_max});
    std::size_t count = close.Count();
    if (near.any() && count == 0) return std::nullopt;
    if (count > 0) {
      std::uint32_t least = std::exchange(
          spread.nodes_min, near.contiguous ? static_cast<std::uint32_t>(count) : spread.nodes_min);
      auto chosen = over(close);
      if (chosen || near.any()) return chosen;
      spread.nodes_min = least;
    }
  }
  NodeBits able(capacity.size());
  for (NodeNumber node = 0; node < capacity.size(); ++node) able.Put(node, capacity[node] > 0);
  return over(able);
}

// Most requests fit the first few nodes that are looked at.
bool Cluster::SurelyCould(const Request& request, bool usable_only) const {
  std::uint64_t tasks = 0;
  std::uint32_t nodes = 0;
  bool enough = false;
  const Vec least = request.tasks == 0 ? request.node : request.node + request.task;
  const std::int64_t most = request.tasks_per_node > 0 ? request.tasks_per_node : request.tasks;
  sets_[request.where].Each([&](NodeNumber node) {
    if ((usable_only && !usable_.Has(node)) || !total_[node].Holds(least)) return true;
    ++nodes;
    if (request.tasks > 0)
      tasks += static_cast<std::uint64_t>(TimesIn(request.task, total_[node] - request.node, most));
    enough = nodes >= request.nodes_min && tasks >= request.tasks;
    return !enough && nodes < std::max(request.nodes_max, request.nodes_min);
  });
  return enough && request.tasks >= (request.tasks > 0 ? request.nodes_min : 0);
}

bool Cluster::CouldRun(const Request& request, bool usable_only) {
  if (!request.licences.empty()) {
    Timeline line = licences_;
    line.holds = 1;  // its last step has everything back
    if (line.Earliest(request.licences, now_, 1) >= kNever) return false;
  }
  if (!patterns_[request.pattern].one_of.empty())
    return FirstOf(request, [&](const Request& one) { return CouldRun(one, usable_only); });
  if (request.pattern == 0 && SurelyCould(request, usable_only)) return true;
  Counts capacity(total_.size(), 0);
  std::int64_t most = request.tasks == 0           ? 1
                      : request.tasks_per_node > 0 ? request.tasks_per_node
                                                   : request.tasks;
  Vec least = request.tasks == 0 ? request.node : request.node + request.task;
  sets_[request.where].Each([&](NodeNumber node) {
    if ((usable_only && !usable_.Has(node)) || !total_[node].Holds(least)) return true;
    capacity[node] =
        request.tasks == 0
            ? 1
            : static_cast<std::uint32_t>(TimesIn(request.task, total_[node] - request.node, most));
    return true;
  });
  // As it will be placed, so that what is admitted can be.
  if (request.tasks > 0 && patterns_[request.pattern].counts.empty())
    return SpreadOver(request, capacity, nullptr).has_value();
  if (patterns_[request.pattern].near.any()) {
    NodeBits able(capacity.size());
    for (NodeNumber node = 0; node < capacity.size(); ++node) able.Put(node, capacity[node] > 0);
    return PlaceNear(request, able, able.Count(), nullptr).has_value();
  }
  if (request.pattern != 0) {
    std::vector<NodeNumber> able;
    for (NodeNumber node = 0; node < capacity.size(); ++node) {
      if (capacity[node] > 0) able.push_back(node);
    }
    return PlaceCounted(request, able).has_value();
  }
  return ChooseCounts({0, 1, request.nodes_min, request.nodes_max, false}, capacity).has_value();
}

}  // namespace slipway::plan
