// SPDX-License-Identifier: Apache-2.0
// Does it fit now, and where?
#include <algorithm>

#include "scheduler/plan/cluster.h"
#include "scheduler/plan/spread.h"

namespace slipway::plan {

std::size_t Cluster::CollectFit(const Request& request, const Vec& need, Instant end, std::size_t wanted) {
  base_ = sets_[request.where];
  base_ &= usable_;
  bool look = thresholds_.Select(need, base_, sure_, maybe_);
  const NodeBits& held = HeldBefore(end);
  std::size_t count = 0;
  for (std::size_t i = 0; i < base_.words(); ++i) {
    std::uint64_t word = sure_.word(i) & ~held.word(i);
    fit_.SetWord(i, word);
    count += static_cast<std::size_t>(std::popcount(word));
  }
  if (look) {
    for (std::size_t i = 0; i < base_.words() && count < wanted; ++i) {
      for (std::uint64_t word = maybe_.word(i) & ~sure_.word(i) & ~held.word(i); word != 0;
           word &= word - 1) {
        auto node = static_cast<NodeNumber>(64 * i + static_cast<std::size_t>(std::countr_zero(word)));
        if (!free_[node].Holds(need)) continue;
        fit_.Set(node);
        if (++count >= wanted) break;
      }
    }
  }
  for (std::size_t i = 0; i < base_.words() && count < wanted; ++i) {
    for (std::uint64_t word = maybe_.word(i) & held.word(i); word != 0; word &= word - 1) {
      auto node = static_cast<NodeNumber>(64 * i + static_cast<std::size_t>(std::countr_zero(word)));
      if (!lines_[node].Fits(need, now_, end)) continue;
      fit_.Set(node);
      if (++count >= wanted) break;
    }
  }
  return count;
}

bool Cluster::LicencesFit(const Request& request, Instant length) const {
  return request.licences.empty() || licences_.Fits(request.licences, now_, After(now_, length));
}

bool Cluster::FitsNow(const Request& request, Instant length) {
  if (!LicencesFit(request, length)) return false;
  if (request.tasks > 0) return SpreadTasks(request, now_, length).has_value();
  return CollectFit(request, request.node, After(now_, length), request.nodes_min) >= request.nodes_min;
}

std::optional<Placement> Cluster::ChooseFixed(const Request& request, std::size_t count,
                                              const NodeBits* prefer) const {
  std::size_t wanted = std::min<std::size_t>(count, std::max(request.nodes_max, request.nodes_min));
  Placement nodes;
  auto take = [&](bool preferred) {
    fit_.Each([&](NodeNumber node) {
      if (nodes.size() == wanted) return false;
      if (prefer == nullptr || (node < prefer->size() && prefer->Has(node)) == preferred)
        nodes.push_back({node, 0});
      return true;
    });
  };
  if (prefer != nullptr) take(true);
  take(false);
  std::ranges::sort(nodes);
  return nodes;
}

std::optional<Placement> Cluster::PlaceNow(const Request& request, Instant length, const NodeBits* prefer) {
  if (!LicencesFit(request, length)) return std::nullopt;
  if (request.tasks > 0) return SpreadTasks(request, now_, length);
  std::size_t wanted = std::max(request.nodes_max, request.nodes_min);
  std::size_t count = CollectFit(request, request.node, After(now_, length), wanted);
  if (count < request.nodes_min) return std::nullopt;
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

std::optional<Placement> Cluster::SpreadTasks(const Request& request, Instant from, Instant length) {
  Spread spread{request.tasks, 1, request.nodes_min, request.nodes_max, request.nodes_min > 1};
  std::optional<Counts> counts = ChooseCounts(spread, Capacities(request, from, length));
  if (!counts) return std::nullopt;
  Placement nodes;
  for (NodeNumber node = 0; node < counts->size(); ++node) {
    if ((*counts)[node] > 0) nodes.push_back({node, (*counts)[node]});
  }
  return nodes;
}

bool Cluster::CouldRun(const Request& request, bool usable_only) {
  if (!request.licences.empty()) {
    Timeline line = licences_;
    line.holds = 1;  // its last step has everything back
    if (line.Earliest(request.licences, now_, 1) >= kNever) return false;
  }
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
  return ChooseCounts({request.tasks, 1, request.nodes_min, request.nodes_max, false}, capacity).has_value();
}

}  // namespace slipway::plan
