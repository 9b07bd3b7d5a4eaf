// SPDX-License-Identifier: Apache-2.0
// Who gets which nodes and cores, who waits and why, and what is refused.
#include "scheduler/core/placement.h"

#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

TEST(Placement, TasksWithoutNodesTakeAsFewNodesAsHoldThem) {
  TestCluster c(4, 4);
  EXPECT_EQ(c.NodesOf(c.Submit(SmallJob(3))), "n1:3");
  EXPECT_EQ(c.NodesOf(c.Submit(SmallJob(4))), "n2:4");
  EXPECT_EQ(c.NodesOf(c.Submit(SmallJob(6))), "n3:4 n4:2");
}

TEST(Placement, TasksSpreadEvenlyOverTheNodesAskedFor) {
  TestCluster c(4, 4);
  EXPECT_EQ(c.NodesOf(c.Submit(WideJob(2, 4))), "n1:2 n2:2");
  EXPECT_EQ(c.NodesOf(c.Submit(WideJob(3, 7))), "n1:2 n3:3 n4:2");
}

TEST(Placement, SixteenTasksOnFourNodesAreFourOnEach) {
  TestCluster c(4, 4);
  EXPECT_EQ(c.NodesOf(c.Submit(LaunchJob(4, 16))), "n1:4 n2:4 n3:4 n4:4");
}

TEST(Placement, NodesWithoutTasksGetOneEachOrTasksPerNode) {
  TestCluster c(2, 4);
  EXPECT_EQ(c.NodesOf(c.Submit(WideJob(2, 0))), "n1:1 n2:1");
  JobSpec spec = WideJob(2, 0);
  spec.resources.tasks_per_node = 3;
  EXPECT_EQ(c.NodesOf(c.Submit(spec)), "n1:3 n2:3");
}

TEST(Placement, CoresOfTwoJobsOnANodeAreDisjoint) {
  TestCluster c(1, 4);
  JobId a = c.Submit(SmallJob(2)), b = c.Submit(SmallJob(2));
  EXPECT_FALSE(c.Of(a).nodes[0].cores.Intersects(c.Of(b).nodes[0].cores));
  EXPECT_TRUE(c.state().FindNode("n1")->cores_free.empty());
}

TEST(Placement, MemoryIsAllottedPerNodeOrPerCore) {
  TestCluster c(2, 4, 1000);
  JobSpec spec = SmallJob();
  spec.resources.memory_bytes_per_node = 600;
  EXPECT_EQ(c.NodesOf(c.Submit(spec)), "n1:1");
  spec.resources = {.tasks = 2, .memory_bytes_per_core = 300};
  EXPECT_EQ(c.NodesOf(c.Submit(spec)), "n2:2");
  spec.resources = {.tasks = 1, .memory_bytes_per_core = 500};
  EXPECT_EQ(c.StateOf(c.Submit(spec)), "PENDING");
}

TEST(Placement, ExclusiveTakesWholeNodesAndOnlyEmptyOnes) {
  TestCluster c(2, 4);
  (void)c.Submit(SmallJob());
  JobSpec spec = SmallJob();
  spec.resources.exclusive = true;
  JobId job = c.Submit(spec);
  EXPECT_EQ(c.NodesOf(job), "n2:1");
  EXPECT_EQ(c.Of(job).nodes[0].cores.count(), 4U);
  EXPECT_EQ(c.state().FindNode("n2")->memory_free_bytes, 0U);
}

TEST(Policy, PriorityThenOrderOfSubmission) {
  TestCluster c(1, 4);
  JobId first = c.Submit(SmallJob(4));
  JobSpec important = SmallJob(4);
  important.priority = 10;
  JobId low = c.Submit(SmallJob(4)), high = c.Submit(important);
  EXPECT_EQ(c.controller().ReasonOf(high), PendingReason::kResources);
  EXPECT_EQ(c.controller().ReasonOf(low), PendingReason::kPriority);
  c.Finish(first);
  EXPECT_EQ(c.StateOf(high), "STARTING");
  EXPECT_EQ(c.StateOf(low), "PENDING");
}

TEST(Policy, JobsThatFitPassOneThatDoesNot) {
  TestCluster c(2, 4);
  (void)c.Submit(SmallJob(4));
  JobId blocked = c.Submit(WideJob(2, 2)), fits = c.Submit(SmallJob(4));
  EXPECT_EQ(c.StateOf(blocked), "PENDING");
  EXPECT_EQ(c.StateOf(fits), "STARTING");
}

TEST(Policy, WaitsForTheBeginTimeAndWakesForIt) {
  TestCluster c(1);
  JobSpec spec = SmallJob();
  spec.begin = c.now.PlusSeconds(3600);
  JobId job = c.Submit(spec);
  EXPECT_EQ(c.controller().ReasonOf(job), PendingReason::kBeginTime);
  c.Pass(3600);
  EXPECT_EQ(c.StateOf(job), "STARTING");
}

TEST(Policy, AnArrayRunsNoMoreTasksThanItAllows) {
  TestCluster c(1, 4);
  JobSpec spec = SmallJob();
  spec.array = ArrayRequest{{1, 5, 7}, 2};
  JobId array = c.Submit(spec);
  JobId task1{array.value + 1}, task7{array.value + 3};
  EXPECT_EQ(JobName(c.Of(task7)), Cat(array.value, "_7"));
  EXPECT_EQ(c.controller().ReasonOf(task7), PendingReason::kLimit);
  c.Finish(task1);
  EXPECT_EQ(c.StateOf(task7), "STARTING");
  c.Restart();
  EXPECT_EQ(c.state().arrays.at(array).running, 2U);
  c.Do(CancelJob{{1}, array, {20001, false}});
  EXPECT_TRUE(c.answer.has_value());
  EXPECT_EQ(c.StateOf(task7), "COMPLETING");
}

TEST(Policy, HasTheImageFetchedWhileTheJobWaits) {
  TestCluster c(2, 4);
  (void)c.Submit(SmallJob(4));
  (void)c.Submit(SmallJob(4));
  c.Do(ReportImage{"n1", "sha256:aa"});
  JobSpec spec = WideJob(2, 2);
  spec.command.image.digest = "sha256:aa";
  (void)c.Submit(spec);
  EXPECT_EQ(c.Sent("n1", "Prefetch"), 0U);
  EXPECT_EQ(c.Sent("n2", "Prefetch sha256:aa"), 1U);
}

TEST(Policy, WhatANodeLetGoIsNotItsAnyMore) {
  TestCluster c(2, 4);
  c.Do(ReportImage{"n1", "sha256:aa"});
  c.Do(ReportImage{"n2", "sha256:aa"});
  c.Do(ReportImage{"n1", "sha256:aa", false});
  c.Do(ReportImage{"n1", "sha256:bb", false});  // it never had it
  c.Do(ReportImage{"n9", "sha256:aa", false});
  EXPECT_TRUE(c.state().FindNode("n1")->images.empty());
  JobSpec spec = WideJob(1, 4);
  spec.command.image.digest = "sha256:aa";
  EXPECT_EQ(c.NodesOf(c.Submit(spec)), "n2:4") << "the one that has it";
  c.Restart();
  EXPECT_TRUE(c.state().FindNode("n1")->images.empty());
}

TEST(Policy, EqualStatesGiveEqualPlans) {
  TestCluster c(3, 4);
  c.Do(ChangeNode{{1}, "n1", NodeChange::kDrain, ""});
  for (std::uint32_t i = 1; i <= 6; ++i) (void)c.Submit(SmallJob(i % 4 + 1));
  Result<State> copy = DecodeState(EncodeState(c.state()));
  ASSERT_TRUE(copy.has_value());
  auto plan_of = [&](const State& state) {
    std::unique_ptr<Policy> policy = MakePlanningPolicy();
    policy->Reset(state);
    return policy->Decide(state, c.now);
  };
  Plan a = plan_of(c.state()), b = plan_of(*copy);
  EXPECT_EQ(a.starts, b.starts);
  EXPECT_EQ(a.next, b.next);
}

void ExpectRefused(TestCluster& c, const JobSpec& spec, Code code, const std::string& words) {
  Result<JobId> id = c.TrySubmit(spec);
  ASSERT_FALSE(id.has_value()) << words;
  EXPECT_EQ(id.error().code, code) << id.error().message;
  EXPECT_NE(id.error().message.find(words), std::string::npos) << id.error().message;
}

TEST(CheckSubmit, RefusesWhatCanNeverRunWithTheReason) {
  TestCluster c(2, 4, 1000);
  std::size_t before = c.log.size();
  ExpectRefused(c, WideJob(3, 3), Code::kFailedPrecondition, "the cluster has 2");
  ExpectRefused(c, SmallJob(9), Code::kFailedPrecondition, "the cluster has 8 cores");
  JobSpec spec = SmallJob();
  spec.resources.cores_per_task = 5;
  ExpectRefused(c, spec, Code::kFailedPrecondition, "the largest node has 4");
  spec = SmallJob();
  spec.resources.memory_bytes_per_node = 2000;
  ExpectRefused(c, spec, Code::kFailedPrecondition, "the largest node has 1000");
  TestCluster empty(0);
  ExpectRefused(empty, SmallJob(), Code::kFailedPrecondition, "no node has joined");
  EXPECT_EQ(c.log.size(), before) << "a refused job leaves nothing in the log";
}

TEST(CheckSubmit, RefusesContradictionsAbsurditiesAndRoot) {
  TestCluster c(2);
  ExpectRefused(c, WideJob(2, 1), Code::kInvalidArgument, "cannot be spread");
  JobSpec spec = SmallJob(UINT32_MAX);
  ExpectRefused(c, spec, Code::kInvalidArgument, "more than");
  spec = SmallJob(8);
  spec.resources.nodes_min = 2;
  spec.resources.tasks_per_node = 3;
  ExpectRefused(c, spec, Code::kInvalidArgument, "do not fit on 2");
  spec = SmallJob();
  spec.resources.memory_bytes_per_node = spec.resources.memory_bytes_per_core = 1;
  ExpectRefused(c, spec, Code::kInvalidArgument, "both per node and per core");
  spec = SmallJob();
  spec.user.uid = 0;
  ExpectRefused(c, spec, Code::kPermissionDenied, "uid 0");
  spec = SmallJob();
  spec.command.script.clear();
  ExpectRefused(c, spec, Code::kInvalidArgument, "neither a script");
  spec = SmallJob();
  spec.array = ArrayRequest{{3, 3}, 0};
  ExpectRefused(c, spec, Code::kInvalidArgument, "ascend");
}

}  // namespace
}  // namespace slipway::scheduler
