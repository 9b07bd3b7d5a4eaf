// SPDX-License-Identifier: Apache-2.0
// Partitions, features, GPUs, licences: who gets what, and who is refused with which reason.
#include "scheduler/core/site.h"

#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

// n1, n2: cpu and big; n3: two A100; n4: one A100 and two H100; n5 costs more.
Site ASite() {
  Site site;
  site.partitions = {{.name = "cpu",
                      .nodes = {"n1", "n2", "n5"},
                      .is_default = true,
                      .max_time_s = 3600,
                      .default_time_s = 600},
                     {.name = "gpu", .nodes = {"n3", "n4"}, .max_nodes = 1},
                     {.name = "all", .all_nodes = true, .allow_accounts = {"physics"}},
                     {.name = "staff", .all_nodes = true, .allow_groups = {500}},
                     {.name = "whole", .nodes = {"n1"}, .exclusive = true},
                     {.name = "closed", .all_nodes = true, .state = PartitionState::kDrain},
                     {.name = "later", .all_nodes = true, .state = PartitionState::kDown}};
  site.nodes["n1"].features = {"rack1", "big"};
  site.nodes["n2"].features = {"rack1"};
  site.nodes["n3"].features = {"rack2"};
  site.nodes["n3"].gpus = {{"a100", 2}};
  site.nodes["n4"].features = {"rack2", "big"};
  site.nodes["n4"].gpus = {{"a100", 1}, {"h100", 2}};
  site.nodes["n4"].gres = {{"nic", 2}};
  site.nodes["n1"].weight = 5;
  site.nodes["n5"].weight = 9;
  site.licences = {{"matlab", 3}};
  return site;
}

struct SiteTest : ::testing::Test {
  TestCluster c{5, 4, 8 << 20, ASite()};
  JobSpec In(const std::string& partition, std::uint32_t tasks = 1) {
    JobSpec spec = SmallJob(tasks);
    spec.resources.partition = partition;
    return spec;
  }
  void Refused(JobSpec spec, const std::string& words) {
    Result<JobId> id = c.TrySubmit(std::move(spec));
    ASSERT_FALSE(id.has_value()) << words;
    EXPECT_NE(id.error().message.find(words), std::string::npos) << id.error().message;
  }
};

TEST_F(SiteTest, WhatTheUserLeavesOutIsTheSites) {
  const JobSpec& spec = *c.Of(c.Submit(SmallJob())).spec;
  EXPECT_EQ(spec.resources.partition, "cpu");
  EXPECT_EQ(spec.time_limit_s, 600U);
  EXPECT_EQ(spec.account, "default");
}

TEST_F(SiteTest, NodesOfLessWeightAreUsedFirstAndOnlyThoseOfThePartition) {
  EXPECT_EQ(c.NodesOf(c.Submit(In("cpu", 4))), "n2:4");
  EXPECT_EQ(c.NodesOf(c.Submit(In("cpu", 4))), "n1:4");
  EXPECT_EQ(c.NodesOf(c.Submit(In("cpu", 4))), "n5:4");
  EXPECT_EQ(c.StateOf(c.Submit(In("cpu", 4))), "PENDING");
  EXPECT_EQ(c.NodesOf(c.Submit(In("gpu", 4))), "n3:4");
}

TEST_F(SiteTest, AnExclusivePartitionGivesWholeNodes) {
  JobId job = c.Submit(In("whole"));
  EXPECT_EQ(c.Of(job).nodes[0].cores.count(), 4U);
}

TEST_F(SiteTest, PartitionLimitsAndPermissionsAreRefusedWithTheirNames) {
  JobSpec spec = In("cpu");
  spec.time_limit_s = 7200;
  Refused(spec, "PartitionTimeLimit");
  spec = In("gpu");
  spec.resources.nodes_min = spec.resources.tasks = 2;
  Refused(spec, "PartitionNodeLimit");
  Refused(In("all"), "not open to account default");
  Refused(In("staff"), "certain groups");
  Refused(In("closed"), "PartitionInactive");
  Refused(In("nowhere"), "there is no partition nowhere; there are cpu, gpu");
  spec = In("staff");
  spec.user.groups = {500};
  EXPECT_TRUE(c.TrySubmit(spec).has_value());
}

TEST(Partitions, AJobThatLeavesItsNodesOpenGetsNoMoreThanThePartitionAllows) {
  Site site;
  site.partitions = {{.name = "two", .all_nodes = true, .is_default = true, .max_nodes = 2},
                     {.name = "wide", .all_nodes = true, .min_nodes = 2},
                     {.name = "thin", .all_nodes = true, .max_cores_per_node = 2}};
  TestCluster c(4, 4, 8 << 20, site);
  Result<JobId> much = c.TrySubmit(SmallJob(9));
  ASSERT_FALSE(much.has_value()) << "9 cores are more than two nodes have";
  EXPECT_EQ(c.NodesOf(c.Submit(SmallJob(8))), "n1:4 n2:4");
  JobSpec spec = SmallJob(2);
  spec.resources.partition = "wide";
  EXPECT_EQ(c.NodesOf(c.Submit(spec)), "n3:1 n4:1");
  spec = SmallJob(4);
  spec.resources.partition = "thin";
  EXPECT_EQ(c.NodesOf(c.Submit(spec)), "n3:2 n4:2");
}

TEST_F(SiteTest, APartitionThatIsDownTakesJobsAndStartsNone) {
  JobId job = c.Submit(In("later"));
  EXPECT_EQ(c.StateOf(job), "PENDING");
  EXPECT_EQ(c.controller().ReasonOf(job), PendingReason::kPartitionDown);
}

TEST_F(SiteTest, APartitionThatIsGoneKeepsItsJobsWaitingWithTheReason) {
  (void)c.Submit(In("gpu", 4));
  (void)c.Submit(In("gpu", 4));
  JobId job = c.Submit(In("gpu", 4));
  Site other = ASite();
  other.partitions.erase(other.partitions.begin() + 1);
  c.SetSite(other);
  c.Restart();
  c.Pass(1);
  EXPECT_EQ(c.controller().ReasonOf(job), PendingReason::kPartitionConfig);
  EXPECT_NE(c.controller().Explain(job).reasons[0].find("PartitionConfig: there is no partition gpu"),
            std::string::npos);
}

TEST_F(SiteTest, GpusAreGivenByNumberAndType) {
  JobSpec spec = In("gpu");
  spec.resources.gpus_per_node = 1;
  JobId any = c.Submit(spec);
  EXPECT_EQ(c.NodesOf(any), "n3:1");
  EXPECT_EQ(c.Of(any).nodes[0].gpus.Numbers(), std::vector<std::uint32_t>{0});
  spec.resources.gpu_type = "h100";
  spec.resources.gpus_per_node = 2;
  JobId typed = c.Submit(spec);
  EXPECT_EQ(c.NodesOf(typed), "n4:1");
  EXPECT_EQ(c.Of(typed).nodes[0].gpus.Numbers(), (std::vector<std::uint32_t>{1, 2})) << "0 is the A100";
  EXPECT_EQ(c.StateOf(c.Submit(spec)), "PENDING");
  spec.resources.gpu_type = "a100";
  spec.resources.gpus_per_node = 0;
  spec.resources.gpus_per_task = 1;
  JobId last = c.Submit(spec);
  EXPECT_EQ(c.NodesOf(last), "n3:1");
  EXPECT_EQ(c.Of(last).nodes[0].gpus.Numbers(), std::vector<std::uint32_t>{1});
  c.Finish(typed);
  EXPECT_EQ(c.state().active.size(), 3U) << "the one that waited got the H100 back";
  c.Restart();
  EXPECT_EQ(c.state().FindNode("n3")->gpus_allotted.count(), 2U);
}

TEST_F(SiteTest, GpusThatNoNodeHasAreRefusedWithWhatThereIs) {
  JobSpec spec = In("gpu");
  spec.resources.gpus_per_node = 3;
  Refused(spec, "3 GPUs");
  spec.resources.gpu_type = "b200";
  Refused(spec, "no node has GPUs of type b200; kinds: gpu:a100, gpu:h100, nic");
  spec = In("cpu");
  spec.resources.gpus_per_node = 1;
  Refused(spec, "no node of partition cpu has more than 0");
}

TEST_F(SiteTest, GenericResourcesAndLicencesAreCounted) {
  JobSpec spec = In("gpu");
  spec.resources.gres = {{"nic", 1}};
  EXPECT_EQ(c.NodesOf(c.Submit(spec)), "n4:1");
  EXPECT_EQ(c.NodesOf(c.Submit(spec)), "n4:1");
  EXPECT_EQ(c.StateOf(c.Submit(spec)), "PENDING");
  spec = In("cpu");
  spec.resources.licences = {{"matlab", 2}};
  JobId first = c.Submit(spec), second = c.Submit(spec);
  EXPECT_EQ(c.StateOf(second), "PENDING");
  Explanation why = c.controller().Explain(second);
  EXPECT_TRUE(std::ranges::any_of(why.reasons, [](const std::string& line) {
    return line.find("Licenses: needs 2 of matlab, 1 is free") != std::string::npos;
  }));
  EXPECT_TRUE(std::ranges::none_of(why.reasons, [](const std::string& line) {
    return line.find("enough free") != std::string::npos;
  })) << "nodes are free";
  c.Finish(first);
  EXPECT_EQ(c.StateOf(second), "STARTING");
  spec.resources.licences = {{"matlab", 4}};
  Refused(spec, "4 licences matlab are asked for, the cluster has 3");
  spec.resources.licences = {{"ansys", 1}};
  Refused(spec, "the cluster has no licence ansys; there are: matlab");
}

TEST_F(SiteTest, ConstraintsChooseNodesByFeature) {
  JobSpec spec = In("cpu");
  spec.resources.constraint = "big&!rack2";
  EXPECT_EQ(c.NodesOf(c.Submit(spec)), "n1:1");
  spec.resources.constraint = "colour";
  Refused(spec, "BadConstraints: no node has the feature colour");
  spec.resources.constraint = "rack1&(";
  Refused(spec, "constraint \"rack1&(\"");
  spec.resources.constraint = "rack2";
  Refused(spec, "partition cpu with rack2");
}

TEST_F(SiteTest, CountedConstraintsTakeSoManyNodesOfEach) {
  JobSpec spec = In("staff");
  spec.user.groups = {500};
  spec.resources = {.partition = "staff", .constraint = "rack1*1&rack2*2"};
  JobId job = c.Submit(spec);
  EXPECT_EQ(c.NodesOf(job), "n2:1 n3:1 n4:1");
  spec.resources.nodes_min = 2;
  Refused(spec, "counts 3 nodes, the job asks for 2");
  spec.resources.nodes_min = 3;
  spec.resources.tasks = 3;
  spec.resources.layout = Layout::kPack;
  Refused(spec, "leave out -m pack");
  spec.resources = {.partition = "staff", .constraint = "rack2*3"};
  Refused(spec, "meets the request");
}

TEST_F(SiteTest, AlternativesAreAllOfOneKind) {
  JobSpec spec = In("staff");
  spec.user.groups = {500};
  spec.resources = {.nodes_min = 2, .partition = "staff", .constraint = "[rack1|rack2]"};
  spec.resources.exclusive = true;
  EXPECT_EQ(c.NodesOf(c.Submit(spec)), "n2:1 n1:1");
  EXPECT_EQ(c.NodesOf(c.Submit(spec)), "n3:1 n4:1");
  JobId waits = c.Submit(spec);
  EXPECT_EQ(c.StateOf(waits), "PENDING");
  spec.resources.nodes_min = 3;
  Refused(spec, "meets the request");
}

TEST(Site, MistakesInItAreNamed) {
  auto wrong = [](auto change, const std::string& words) {
    Site site = ASite();
    change(site);
    Result<> checked = CheckSite(site);
    ASSERT_FALSE(checked.has_value()) << words;
    EXPECT_NE(checked.error().message.find(words), std::string::npos) << checked.error().message;
  };
  wrong([](Site& s) { s.partitions[1].name = "cpu"; }, "partition cpu is there twice");
  wrong([](Site& s) { s.partitions[1].is_default = true; }, "two partitions are the default");
  wrong([](Site& s) { s.partitions[0].default_time_s = 9999; }, "default_time is longer");
  wrong([](Site& s) { s.partitions[0].allow_qos = {"x"}; }, "there is no QOS x");
  wrong([](Site& s) { s.plan.policy = "magic"; }, "there is no policy \"magic\"");
  wrong([](Site& s) { s.plan = {.policy = "fcfs", .reservations = 9}; }, "no reservations of its own");
  wrong([](Site& s) { s.plan = {.policy = "sjf", .reservations_per_user = 2}; }, "plans one job at a time");
  wrong([](Site& s) { s.plan = {.policy = "saf", .reservations_per_partition = 2}; },
        "plans one job at a time");
  wrong([](Site& s) { s.nodes["n1"].gres = {{"a", 1}, {"b", 1}, {"c", 1}}; }, "at most 4 can be told apart");
  wrong([](Site& s) { s.qos = {{.name = "a", .preempts = {"a"}}}; }, "preempts itself");
}

}  // namespace
}  // namespace slipway::scheduler
