// SPDX-License-Identifier: Apache-2.0
// Jobs on networks: switches, blocks, tori, and how tasks are laid out.
#include <gtest/gtest.h>

#include "scheduler/core/network_order.h"
#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

// n1, n2 | n3, n4 below one spine, n5, n6 | n7, n8 below another.
Site Tree(NetworkKind kind = NetworkKind::kTree) {
  Site site;
  site.network.kind = kind;
  site.network.switches = {
      {"l1", {"n1", "n2"}, {}}, {"l2", {"n3", "n4"}, {}}, {"l3", {"n5", "n6"}, {}}, {"l4", {"n7", "n8"}, {}}};
  if (kind != NetworkKind::kBlock) {
    site.network.switches.push_back({"s1", {}, {"l1", "l2"}});
    site.network.switches.push_back({"s2", {}, {"l3", "l4"}});
  }
  return site;
}

JobSpec Nodes(std::uint32_t nodes, std::uint32_t switches = 0) {
  JobSpec spec = WideJob(nodes, nodes);
  spec.resources.exclusive = true;
  spec.resources.switches = switches;
  spec.time_limit_s = 600;
  return spec;
}

TEST(Network, AJobGetsNodesOfOneSwitchWhereItCan) {
  TestCluster c(8, 4, 8 << 20, Tree());
  JobId one = c.Submit(Nodes(1)), two = c.Submit(Nodes(2)), four = c.Submit(Nodes(4));
  EXPECT_EQ(c.NodesOf(one), "n1:1");
  EXPECT_EQ(c.NodesOf(two), "n3:1 n4:1") << "not one here and one there";
  EXPECT_EQ(c.NodesOf(four), "n5:1 n6:1 n7:1 n8:1") << "below one spine";
}

// Chaos seed 209: one of several partitions waited on, as long as nothing made its plan anew.
TEST(Network, AWishForFewSwitchesWaitsSoLongAndNoLonger) {
  Site site = Tree();
  site.partitions = {{.name = "a", .all_nodes = true, .is_default = true}, {.name = "b", .all_nodes = true}};
  for (const char* partitions : {"a", "a,b"}) {
    TestCluster c(8, 4, 8 << 20, site);
    std::vector<JobId> jobs;
    for (int i = 0; i < 8; ++i) jobs.push_back(c.Submit(Nodes(1)));
    c.Finish(jobs[0]);
    c.Finish(jobs[2]);
    JobSpec near = Nodes(2, 1);
    near.resources.partition = partitions;
    near.switch_wait_s = 100;
    JobId waits = c.Submit(near);
    EXPECT_EQ(c.StateOf(waits), "PENDING") << "two nodes are free, of two switches";
    c.Pass(99);
    EXPECT_EQ(c.StateOf(waits), "PENDING");
    c.Pass(1);
    EXPECT_EQ(c.StateOf(waits), "STARTING") << partitions;
  }
}

TEST(Network, AWishForOneSwitchIsPlannedForWhenThatOneIsFree) {
  TestCluster c(8, 4, 8 << 20, Tree());
  std::vector<JobId> jobs;
  for (std::uint32_t i = 0; i < 8; ++i) {
    JobSpec spec = Nodes(1);
    spec.time_limit_s = 1000 * (1 + i % 4);
    jobs.push_back(c.Submit(spec));
  }
  JobSpec near = Nodes(2, 1);
  near.switch_wait_s = 100'000;
  JobId waits = c.Submit(near);
  auto planned = c.controller().PlannedStartOf(waits);
  ASSERT_TRUE(planned.has_value());
  EXPECT_EQ(planned->nodes.size(), 2U);
  EXPECT_EQ(planned->nodes[0].node, "n1");
  EXPECT_EQ(planned->at.us - c.now.us, 2'060'000'000) << "n2's job ends then; n5 is free sooner, n6 is not";
}

// It was admitted, and waited for ever (chaos seeds 188, 536, 5000603).
TEST(Network, TasksThatOneNodeCannotHoldAreRefusedWhenOneNodeOnTwoSwitchesIsAskedFor) {
  TestCluster c(8, 4, 8 << 20, Tree());
  JobSpec spec = WideJob(1, 5);
  for (std::uint32_t switches : {0U, 1U, 2U}) {
    spec.resources.switches = switches;
    EXPECT_FALSE(c.TrySubmit(spec).has_value()) << switches;
  }
  spec.resources.nodes_max = 2;
  JobId runs = c.Submit(spec);
  EXPECT_EQ(c.StateOf(runs), "STARTING");
}

TEST(Network, MoreThanThereIsOnSoFewSwitchesIsRefused) {
  TestCluster c(8, 4, 8 << 20, Tree());
  Result<JobId> refused = c.TrySubmit(Nodes(3, 1));
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message.find("switch"), std::string::npos) << refused.error().message;
}

TEST(Network, ContiguousNodesHaveNoGap) {
  TestCluster c(6);
  std::vector<JobId> jobs;
  for (int i = 0; i < 6; ++i) jobs.push_back(c.Submit(Nodes(1)));
  c.Finish(jobs[0]);
  c.Finish(jobs[2]);
  JobSpec spec = Nodes(2);
  spec.resources.contiguous = true;
  JobId waits = c.Submit(spec);
  EXPECT_EQ(c.StateOf(waits), "PENDING");
  c.Finish(jobs[3]);
  EXPECT_EQ(c.NodesOf(waits), "n3:1 n4:1");
}

TEST(Network, ABlockIsNotBrokenForAJobThatFitsOne) {
  TestCluster c(8, 4, 8 << 20, Tree(NetworkKind::kBlock));
  JobId a = c.Submit(Nodes(1)), b = c.Submit(Nodes(1));
  EXPECT_EQ(c.NodesOf(a) + c.NodesOf(b), "n1:1n2:1");
  JobId c1 = c.Submit(Nodes(1));
  EXPECT_EQ(c.NodesOf(c1), "n3:1");
  JobId wide = c.Submit(Nodes(4));
  EXPECT_EQ(c.NodesOf(wide), "n5:1 n6:1 n7:1 n8:1") << "two blocks side by side";
  c.Finish(a);
  JobId pair = c.Submit(Nodes(2));
  EXPECT_EQ(c.StateOf(pair), "PENDING") << "n1 and n4 are of two blocks";
  c.Finish(b);
  EXPECT_EQ(c.NodesOf(pair), "n1:1 n2:1");
}

TEST(Network, TheNodesOfATorusFollowOneAnotherAlongACurve) {
  Site site;
  site.network.kind = NetworkKind::kTorus;
  site.network.torus = {2, 2, 2};
  for (std::uint32_t i = 1; i <= 8; ++i) site.network.torus_nodes.push_back(TestCluster::NodeName(i));
  TestCluster c(8, 4, 8 << 20, site);
  JobId half = c.Submit(Nodes(4));
  // Four that follow one another along the curve lie in one plane of the cube.
  std::set<int> x, y, z;
  for (const NodeAllocation& held : c.Of(half).nodes) {
    int at = std::stoi(held.node.substr(1)) - 1;
    x.insert(at % 2), y.insert(at / 2 % 2), z.insert(at / 4);
  }
  EXPECT_EQ(std::min({x.size(), y.size(), z.size()}), 1U);
  site.network.torus_nodes.pop_back();
  EXPECT_FALSE(CheckSite(site).has_value()) << "seven nodes for eight points";
}

TEST(Network, ATopologyThatContradictsItselfIsRefused) {
  auto wrong = [](auto change) {
    Site site = Tree();
    change(site.network.switches);
    return !CheckSite(site).has_value();
  };
  EXPECT_TRUE(CheckSite(Tree()).has_value());
  EXPECT_TRUE(wrong([](auto& s) { s[0].nodes.push_back("n3"); })) << "a node on two leaves";
  EXPECT_TRUE(wrong([](auto& s) { s[4].switches.push_back("l9"); })) << "a switch that is not there";
  EXPECT_TRUE(wrong([](auto& s) { s[4].switches = {"s2"}, s[5].switches = {"s1"}; })) << "a ring";
  EXPECT_TRUE(wrong([](auto& s) { s[0].nodes.clear(); })) << "a leaf without nodes";
  EXPECT_TRUE(wrong([](auto& s) { s.clear(); }));
}

TEST(Layout, TasksAreSpreadOverAllNodesOrPackedOnFew) {
  TestCluster c(4, 4);
  JobSpec spec = SmallJob(6);
  spec.resources.layout = Layout::kSpread;
  JobId spread = c.Submit(spec);
  EXPECT_EQ(c.NodesOf(spread), "n1:2 n2:2 n3:1 n4:1");
  c.Finish(spread);
  spec = WideJob(2, 6);
  spec.resources.layout = Layout::kPack;
  JobId pack = c.Submit(spec);
  EXPECT_EQ(c.NodesOf(pack), "n1:4 n2:2") << "not three and three";
  c.Finish(pack);
  JobSpec range = Nodes(1);
  range.resources.tasks = 0;
  range.resources.nodes_max = 3;
  JobId most = c.Submit(range);
  EXPECT_EQ(c.Of(most).nodes.size(), 3U);
  c.Finish(most);
  range.resources.fewest_nodes = true;
  EXPECT_EQ(c.Of(c.Submit(range)).nodes.size(), 1U);
}

}  // namespace
}  // namespace slipway::scheduler
