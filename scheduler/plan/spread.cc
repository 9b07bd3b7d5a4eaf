// SPDX-License-Identifier: Apache-2.0
#include "scheduler/plan/spread.h"

#include <algorithm>
#include <numeric>

#include "base/result/result.h"

namespace slipway::plan {
namespace {

// The first nodes that can take `each` tasks, at least `least` and at most `most` of them; the first
// `required` among them.
std::optional<Counts> FirstWith(std::uint32_t each, std::uint32_t least, std::uint32_t most,
                                const Counts& capacity, std::uint32_t required) {
  for (std::uint32_t i = 0; i < required; ++i) {
    if (capacity[i] < each) return std::nullopt;
  }
  Counts counts(capacity.size(), 0);
  std::uint32_t found = 0;
  for (std::size_t i = 0; i < capacity.size() && found < most; ++i) {
    if (capacity[i] < each) continue;
    counts[i] = each;
    ++found;
  }
  if (found < least) return std::nullopt;
  return counts;
}

// Gives `tasks` to the nodes marked (count > 0 allowed by `limit`), evenly; the first ones get what does not
// divide.
void SpreadEvenly(std::uint32_t tasks, const Counts& limit, Counts& counts) {
  while (tasks > 0) {
    std::uint32_t open = 0;
    for (std::size_t i = 0; i < limit.size(); ++i) open += counts[i] < limit[i] ? 1 : 0;
    CHECK(open > 0);
    std::uint32_t share = std::max(1U, tasks / open);
    for (std::size_t i = 0; i < limit.size() && tasks > 0; ++i) {
      std::uint32_t more = std::min({share, limit[i] - counts[i], tasks});
      counts[i] += more;
      tasks -= more;
    }
  }
}

// One on each node at least.
void FillInOrder(std::uint32_t tasks, const Counts& limit, Counts& counts) {
  auto others = static_cast<std::uint32_t>(std::ranges::count_if(limit, [](auto n) { return n > 0; }));
  for (std::size_t i = 0; i < limit.size(); ++i) {
    if (limit[i] == 0) continue;
    others = std::min(others - 1, tasks - 1);
    counts[i] = std::min(limit[i], tasks - others);
    tasks -= counts[i];
    if (tasks == 0) return;
  }
}

std::optional<Counts> EmptiestFirst(const Spread& want, std::uint32_t most, const Counts& capacity) {
  std::vector<std::size_t> order(capacity.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t i) { return capacity[i] == 0; });
  std::ranges::stable_sort(order, std::greater<>(),
                           [&](std::size_t i) { return std::pair(i < want.required, capacity[i]); });
  std::uint64_t room = 0;
  std::uint32_t used = 0;
  Counts limit(capacity.size(), 0);
  const std::uint32_t least = std::max(want.nodes_min, want.required);
  while (used < order.size() && used < most && (want.widely || used < least || room < want.tasks)) {
    limit[order[used]] = capacity[order[used]];
    room += capacity[order[used++]];
  }
  if (used < least || room < want.tasks) return std::nullopt;
  Counts counts(capacity.size(), 0);
  if (want.evenly || want.widely) {
    SpreadEvenly(want.tasks, limit, counts);
  } else {
    FillInOrder(want.tasks, limit, counts);
  }
  return counts;
}

}  // namespace

std::optional<Counts> ChooseCounts(const Spread& want, const Counts& capacity) {
  std::uint32_t least = std::max({want.nodes_min, want.required, 1U}), most = std::max(least, want.nodes_max);
  if (want.tasks == 0) return FirstWith(std::max(want.each, 1U), least, most, capacity, 0);
  if (want.required > capacity.size()) return std::nullopt;
  for (std::uint32_t i = 0; i < want.required; ++i) {
    if (capacity[i] == 0) return std::nullopt;
  }
  if (want.tasks < least) return std::nullopt;
  most = std::min(most, want.tasks);  // one task at least on each
  if (least == most && want.evenly && want.tasks % least == 0) {
    if (auto even = FirstWith(want.tasks / least, least, most, capacity, want.required)) return even;
  }
  if (least == 1 && !want.widely) {
    if (auto one = FirstWith(want.tasks, 1, 1, capacity, want.required)) return one;
  }
  return EmptiestFirst(want, most, capacity);
}

}  // namespace slipway::plan
