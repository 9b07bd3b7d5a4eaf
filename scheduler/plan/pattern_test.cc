// SPDX-License-Identifier: Apache-2.0
// Choices by counts against one that tries every subset.
#include "scheduler/plan/pattern.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "scheduler/plan/cluster.h"

namespace slipway::plan {
namespace {

// Whether the nodes can be dealt out to the counts, one to each at most: tried in every way.
bool Meets(const std::vector<NodeNumber>& nodes, std::vector<NodeCount> counts,
           const std::vector<const NodeBits*>& sets, std::size_t at = 0) {
  if (std::ranges::all_of(counts, [](const NodeCount& count) { return count.nodes == 0; })) return true;
  if (at == nodes.size()) return false;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i].nodes == 0 || !sets[i]->Has(nodes[at])) continue;
    --counts[i].nodes;
    if (Meets(nodes, counts, sets, at + 1)) return true;
    ++counts[i].nodes;
  }
  return Meets(nodes, counts, sets, at + 1);
}

TEST(Pattern, AChoiceIsFoundExactlyWhenThereIsOne) {
  std::mt19937 random(1);
  int found = 0, none = 0;
  for (int round = 0; round < 3000; ++round) {
    std::size_t size = 1 + random() % 7;
    std::vector<NodeBits> bits(1 + random() % 3, NodeBits(size));
    std::vector<const NodeBits*> sets;
    std::vector<NodeCount> counts;
    std::size_t sum = 0;
    for (NodeBits& set : bits) {
      for (NodeNumber node = 0; node < size; ++node) set.Put(node, random() % 2 == 0);
      sets.push_back(&set);
      counts.push_back({0, static_cast<std::uint32_t>(1 + random() % 2)});
      sum += counts.back().nodes;
    }
    std::vector<NodeNumber> all;
    for (NodeNumber node = 0; node < size; ++node) all.push_back(node);
    std::size_t least = std::min(size, sum + random() % 2);
    auto chosen = ChooseCounted(all, counts, sets, least, least);
    bool possible = size >= std::max(least, sum) && Meets(all, counts, sets);
    ASSERT_EQ(chosen.has_value(), possible) << "round " << round;
    possible ? ++found : ++none;
    if (!chosen) continue;
    EXPECT_EQ(chosen->size(), std::max(least, sum));
    EXPECT_TRUE(Meets(*chosen, counts, sets)) << "round " << round;
  }
  EXPECT_GT(found, 500);
  EXPECT_GT(none, 500);
}

TEST(Pattern, TheEarliestStartWaitsForTheNodesOfEachCount) {
  Cluster cluster;
  Vec total;
  total[kCores] = 4;
  for (int i = 0; i < 4; ++i) cluster.AddNode(total);
  NodeBits low(4), high(4);
  low.Set(0), low.Set(1), high.Set(2), high.Set(3);
  Request request;
  request.node[kCores] = 4;
  request.nodes_min = request.nodes_max = 2;
  Pattern each;
  each.counts = {{cluster.AddSet(low), 1}, {cluster.AddSet(high), 1}};
  request.pattern = cluster.AddPattern(each);
  cluster.Take(2, total, 0, 100, Use::kRunning);
  cluster.Take(3, total, 0, 50, Use::kRunning);
  EXPECT_FALSE(cluster.FitsNow(request, 10));
  Planned planned = cluster.Earliest(request, 10);
  EXPECT_EQ(planned.start, 50);
  EXPECT_EQ(planned.nodes, (Placement{{0, 0}, {3, 0}}));
  Pattern same;
  same.one_of = {{each.counts[0].set, 0}, {each.counts[1].set, 0}};
  request.pattern = cluster.AddPattern(same);
  EXPECT_TRUE(cluster.FitsNow(request, 10));
  cluster.Take(0, total, 0, 200, Use::kRunning);
  EXPECT_FALSE(cluster.FitsNow(request, 10)) << "one free node on each side is not two of one";
  EXPECT_EQ(cluster.Earliest(request, 10).start, 100);
}

}  // namespace
}  // namespace slipway::plan
