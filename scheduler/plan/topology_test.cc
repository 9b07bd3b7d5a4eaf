// SPDX-License-Identifier: Apache-2.0
// Nodes that are chosen lie as close together as any choice could, by brute force on small networks.
#include "scheduler/plan/topology.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

namespace slipway::plan {
namespace {

// Leaves of `per_leaf` nodes, `per_spine` of them below a spine.
Topology Tree(std::uint32_t nodes, std::uint32_t per_leaf, std::uint32_t per_spine,
              Network network = Network::kTree) {
  Topology topology{network, {}, {}, {}};
  std::uint32_t leaves = (nodes + per_leaf - 1) / per_leaf, spines = (leaves + per_spine - 1) / per_spine;
  for (std::uint32_t node = 0; node < nodes; ++node) {
    topology.position.push_back(node);
    topology.leaf.push_back(node / per_leaf);
  }
  for (std::uint32_t leaf = 0; leaf < leaves; ++leaf) topology.parent.push_back(leaves + leaf / per_spine);
  for (std::uint32_t spine = 0; spine <= spines; ++spine) topology.parent.push_back(leaves + spines);
  return topology;
}

NodeBits Bits(std::size_t size, const std::vector<NodeNumber>& nodes) {
  NodeBits bits(size);
  for (NodeNumber node : nodes) bits.Set(node);
  return bits;
}

std::size_t LeavesOf(const Topology& topology, const std::vector<NodeNumber>& nodes) {
  std::set<std::uint32_t> leaves;
  for (NodeNumber node : nodes) leaves.insert(topology.leaf[node]);
  return leaves.size();
}

TEST(Topology, ASmallJobGetsTheLeafThatItFillsBest) {
  Topology tree = Tree(12, 4, 3);
  EXPECT_EQ(*ChooseNear(tree, Bits(12, {0, 1, 2, 3, 5, 6, 8, 9, 10}), {}, 2, nullptr),
            (std::vector<NodeNumber>{5, 6}));
  EXPECT_EQ(*ChooseNear(tree, Bits(12, {0, 1, 2, 3, 5, 6, 8, 9, 10}), {}, 3, nullptr),
            (std::vector<NodeNumber>{8, 9, 10}));
}

TEST(Topology, AWideJobStaysBelowOneSpineWhereItCan) {
  Topology tree = Tree(16, 2, 4);  // two spines of four leaves
  EXPECT_EQ(*ChooseNear(tree, Bits(16, {0, 1, 6, 8, 9, 10, 12}), {}, 4, nullptr),
            (std::vector<NodeNumber>{8, 9, 10, 12}));
}

TEST(Topology, NoChoiceHasFewerLeavesByBruteForce) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    Topology tree = Tree(12, 1 + random() % 4, 1 + random() % 3);
    NodeBits able(12);
    std::vector<NodeNumber> nodes;
    for (NodeNumber node = 0; node < 12; ++node) {
      if (random() % 3 > 0) able.Set(node), nodes.push_back(node);
    }
    std::size_t want = 1 + random() % 6, least = SIZE_MAX;
    for (std::uint32_t choice = 0; choice < (1U << nodes.size()); ++choice) {
      if (static_cast<std::size_t>(std::popcount(choice)) != want) continue;
      std::vector<NodeNumber> chosen;
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        if ((choice >> i & 1) != 0) chosen.push_back(nodes[i]);
      }
      least = std::min(least, LeavesOf(tree, chosen));
    }
    for (std::uint32_t most = 1; most <= 4; ++most) {
      auto chosen = ChooseNear(tree, able, {.leaves_max = most}, want, nullptr);
      ASSERT_EQ(chosen.has_value(), least <= most) << "round " << round << ", " << most << " leaves";
      if (!chosen) continue;
      EXPECT_EQ(chosen->size(), want);
      EXPECT_LE(LeavesOf(tree, *chosen), most);
      for (NodeNumber node : *chosen) EXPECT_TRUE(able.Has(node));
    }
  }
}

TEST(Topology, ADragonflyJobThatNeedsMoreThanOneLeafTakesAllOfItsGroupInTurn) {
  Topology fly = Tree(16, 4, 2, Network::kDragonfly);
  NodeBits all(16, true);
  EXPECT_EQ(LeavesOf(fly, *ChooseNear(fly, all, {}, 4, nullptr)), 1U);
  EXPECT_EQ(*ChooseNear(fly, all, {}, 6, nullptr), (std::vector<NodeNumber>{0, 1, 2, 4, 5, 6}));
}

TEST(Topology, ContiguousNodesHaveNoGapAndComeFromTheSmallestStretch) {
  Topology flat;
  NodeBits able = Bits(12, {0, 1, 2, 3, 5, 6, 8, 9, 10});
  EXPECT_EQ(*ChooseNear(flat, able, {.contiguous = true}, 3, nullptr), (std::vector<NodeNumber>{8, 9, 10}));
  EXPECT_EQ(*ChooseNear(flat, able, {.contiguous = true}, 4, nullptr), (std::vector<NodeNumber>{0, 1, 2, 3}));
  EXPECT_FALSE(ChooseNear(flat, able, {.contiguous = true}, 5, nullptr).has_value());
}

TEST(Topology, TasksGetTheShortestStretchWithRoomForThem) {
  Topology flat;
  std::vector<std::uint32_t> capacity{1, 1, 0, 2, 1, 4, 4, 0};
  EXPECT_TRUE(ChooseNearRoom(flat, capacity, {.contiguous = true}, {8}) == Bits(8, {5, 6}));
  EXPECT_TRUE(ChooseNearRoom(flat, capacity, {.contiguous = true}, {9}) == Bits(8, {4, 5, 6}));
  EXPECT_EQ(ChooseNearRoom(flat, capacity, {.contiguous = true}, {12}).Count(), 0U);
  Topology tree = Tree(8, 2, 4);
  EXPECT_TRUE(ChooseNearRoom(tree, capacity, {.leaves_max = 1}, {5}) == Bits(8, {4, 5}));
  EXPECT_EQ(ChooseNearRoom(tree, capacity, {.leaves_max = 1}, {6}).Count(), 0U);
  EXPECT_GT(ChooseNearRoom(tree, capacity, {.leaves_max = 2}, {6}).Count(), 0U);
}

// Chaos seeds 188 and 536: room in tasks was taken for room on so many nodes.
TEST(Topology, NodesThatMayNotAllBeUsedAreNoRoom) {
  Topology tree = Tree(8, 2, 4);
  std::vector<std::uint32_t> capacity{2, 2, 1, 1, 3, 1, 4, 0};
  EXPECT_EQ(ChooseNearRoom(tree, capacity, {.leaves_max = 2}, {5, 1, 1}).Count(), 0U);
  EXPECT_TRUE(ChooseNearRoom(tree, capacity, {.leaves_max = 1}, {3, 1, 1}) == Bits(8, {4, 5}));
  EXPECT_TRUE(ChooseNearRoom(tree, capacity, {.leaves_max = 1}, {4, 2, 2}) == Bits(8, {0, 1}));
  EXPECT_EQ(ChooseNearRoom(tree, capacity, {.leaves_max = 1}, {4, 3, 8}).Count(), 0U);
  EXPECT_EQ(ChooseNearRoom(tree, capacity, {.leaves_max = 2}, {4, 3, 3}).Count(), 4U);
  EXPECT_EQ(ChooseNearRoom({}, capacity, {.contiguous = true}, {7, 1, 2}).Count(), 0U);
}

TEST(Topology, PointsThatFollowOneAnotherAlongTheCurveAreNeighbours) {
  for (unsigned bits = 1; bits <= 4; ++bits) {
    const std::uint32_t side = 1U << bits;
    struct Point {
      std::uint32_t x = 0, y = 0, z = 0;
      bool seen = false;
    };
    std::vector<Point> along(std::size_t{side} * side * side);
    for (std::uint32_t x = 0; x < side; ++x) {
      for (std::uint32_t y = 0; y < side; ++y) {
        for (std::uint32_t z = 0; z < side; ++z) {
          std::uint64_t at = HilbertIndex(x, y, z, bits);
          ASSERT_LT(at, along.size());
          ASSERT_FALSE(along[at].seen) << "two points have the same place";
          along[at] = {x, y, z, true};
        }
      }
    }
    auto apart = [](std::uint32_t a, std::uint32_t b) { return a > b ? a - b : b - a; };
    for (std::size_t i = 1; i < along.size(); ++i)
      ASSERT_EQ(apart(along[i].x, along[i - 1].x) + apart(along[i].y, along[i - 1].y) +
                    apart(along[i].z, along[i - 1].z),
                1U)
          << bits << " bits, place " << i;
  }
}

}  // namespace
}  // namespace slipway::plan
