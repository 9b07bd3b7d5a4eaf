// SPDX-License-Identifier: Apache-2.0
// Nodes that are in the same of the named sets do not differ here, so a choice is a small flow: from the (at
// most 2^4) kinds of nodes to the counts. An augmenting path may move what was given before, so the answer is
// exact.
#include "scheduler/plan/pattern.h"

#include <algorithm>
#include <array>

namespace slipway::plan {
namespace {

constexpr std::size_t kKinds = 1 << kCountsMax;

class Flow {
 public:
  Flow(const std::vector<NodeCount>& counts, const std::array<std::size_t, kKinds>& nodes) : left_(nodes) {
    for (const NodeCount& count : counts) missing_.push_back(count.nodes);
    given_.resize(counts.size());
  }

  bool Fill() {
    for (std::size_t count = 0; count < missing_.size(); ++count) {
      while (missing_[count] > 0) {
        seen_.assign(missing_.size(), false);
        std::size_t more = Give(count, missing_[count]);
        if (more == 0) return false;
        missing_[count] -= more;
      }
    }
    return true;
  }
  std::size_t UsedOf(std::size_t kind) const {
    std::size_t used = 0;
    for (const auto& given : given_) used += given[kind];
    return used;
  }

 private:
  // Up to `wanted` more nodes for the count: free ones, else such as another count can do without.
  std::size_t Give(std::size_t count, std::size_t wanted) {
    seen_[count] = true;
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      std::size_t more = (kind >> count & 1) != 0 ? std::min(wanted, left_[kind]) : 0;
      if (more == 0) continue;
      left_[kind] -= more;
      given_[count][kind] += more;
      return more;
    }
    for (std::size_t other = 0; other < missing_.size(); ++other) {
      if (seen_[other]) continue;
      for (std::size_t kind = 0; kind < kKinds; ++kind) {
        std::size_t take = (kind >> count & 1) != 0 ? std::min(wanted, given_[other][kind]) : 0;
        std::size_t more = take == 0 ? 0 : Give(other, take);
        if (more == 0) continue;
        given_[other][kind] -= more;
        given_[count][kind] += more;
        return more;
      }
    }
    return 0;
  }

  std::array<std::size_t, kKinds> left_;
  std::vector<std::size_t> missing_;
  std::vector<std::array<std::size_t, kKinds>> given_;  // by count and kind
  std::vector<bool> seen_;
};

}  // namespace

std::optional<std::vector<NodeNumber>> ChooseCounted(std::span<const NodeNumber> in_order,
                                                     const std::vector<NodeCount>& counts,
                                                     const std::vector<const NodeBits*>& sets,
                                                     std::size_t least, std::size_t most) {
  if (in_order.size() < least) return std::nullopt;
  std::array<std::size_t, kKinds> nodes{};
  std::vector<std::size_t> kinds;
  for (NodeNumber node : in_order) {
    std::size_t kind = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) kind |= std::size_t{sets[i]->Has(node)} << i;
    kinds.push_back(kind);
    ++nodes[kind];
  }
  Flow flow(counts, nodes);
  if (!flow.Fill()) return std::nullopt;
  std::array<std::size_t, kKinds> needed{};
  std::size_t sum = 0;
  for (std::size_t kind = 0; kind < kKinds; ++kind) sum += needed[kind] = flow.UsedOf(kind);
  std::size_t free = std::max(std::max(least, most), sum) - sum;  // of any kind
  std::vector<NodeNumber> chosen;
  for (std::size_t i = 0; i < in_order.size(); ++i) {
    std::size_t& here = needed[kinds[i]] > 0 ? needed[kinds[i]] : free;
    if (here == 0) continue;
    --here;
    chosen.push_back(in_order[i]);
  }
  std::ranges::sort(chosen);
  return chosen;
}

}  // namespace slipway::plan
