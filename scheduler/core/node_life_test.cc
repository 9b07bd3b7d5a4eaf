// SPDX-License-Identifier: Apache-2.0
// Nodes that find themselves unfit, and nodes on which nothing can be started.
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

void Finds(TestCluster& c, const std::string& node, const std::string& reason, bool keep = false) {
  c.Do(ReportCondition{node, c.controller().SessionOf(node), reason, keep});
}
const Node& NodeOf(TestCluster& c, const std::string& node = "n1") { return *c.state().FindNode(node); }
JobSpec JobOf(std::uint32_t uid) {
  JobSpec spec = SmallJob();
  spec.user.uid = uid;
  return spec;
}
void CannotStart(TestCluster& c, std::uint32_t uid) {
  JobId job = c.Submit(JobOf(uid));
  c.Ended(c.PrimaryOf(job), "n1", 125, EndReason::kLaunchFailed);
  c.ReleaseAll(job);
}

TEST(NodeLife, ANodeThatIsUnfitStartsNothingUntilItIsWell) {
  TestCluster c(1);
  Finds(c, "n1", "disk: /var is full");
  EXPECT_TRUE(NodeOf(c).drained);
  EXPECT_EQ(NodeOf(c).reason, "health: disk: /var is full");
  JobId job = c.Submit(SmallJob());
  EXPECT_EQ(c.StateOf(job), "PENDING");
  std::size_t events = c.log.size();
  Finds(c, "n1", "disk: /var is full");
  EXPECT_EQ(c.log.size(), events) << "said twice is logged once";
  c.Restart();
  c.Register("n1");
  EXPECT_TRUE(NodeOf(c).drained);
  Finds(c, "n1", "");
  EXPECT_FALSE(NodeOf(c).drained);
  EXPECT_EQ(c.StateOf(job), "STARTING");
}

TEST(NodeLife, WhatAnAdministratorDrainedStaysDrained) {
  TestCluster c(1);
  c.Do(ChangeNode{{1}, "n1", NodeChange::kDrain, "new fan"});
  Finds(c, "n1", "disk: full");
  EXPECT_EQ(NodeOf(c).reason, "new fan");
  Finds(c, "n1", "");
  EXPECT_TRUE(NodeOf(c).drained);
  c.Do(ChangeNode{{1}, "n1", NodeChange::kResume, ""});
  Finds(c, "n1", "disk: full");
  c.Do(ChangeNode{{1}, "n1", NodeChange::kDrain, "I look at it"});
  Finds(c, "n1", "");
  EXPECT_TRUE(NodeOf(c).drained) << "his word came later";
}

TEST(NodeLife, AFailedPrologWaitsForAnAdministrator) {
  TestCluster c(1);
  Finds(c, "n1", "prolog of job 1: exit code 1", true);
  EXPECT_EQ(NodeOf(c).reason, "prolog of job 1: exit code 1");
  Finds(c, "n1", "");
  EXPECT_TRUE(NodeOf(c).drained);
}

TEST(NodeLife, WhatIsSaidOnAnOldStreamDoesNotCount) {
  TestCluster c(1);
  std::uint64_t old = c.controller().SessionOf("n1");
  c.Register("n1");
  c.Do(ReportCondition{"n1", old, "disk: full", false});
  EXPECT_FALSE(NodeOf(c).drained);
}

TEST(NodeLife, AJobThatAnUnfitNodeRefusedRunsElsewhere) {
  TestCluster c(2);
  JobId job = c.Submit(SmallJob());
  std::string first = c.NodesOf(job);
  Finds(c, "n1", "prolog of job 1: exit code 1", true);
  ASSERT_EQ(first, "n1:1");
  c.Ended(c.PrimaryOf(job), "n1", 125, EndReason::kNodeUnfit);
  c.ReleaseAll(job);
  EXPECT_EQ(c.StateOf(job), "STARTING");
  EXPECT_EQ(c.Of(job).attempt, 2u);
  EXPECT_EQ(c.NodesOf(job), "n2:1");
}

TEST(NodeLife, AJobThatMakesNodesUnfitIsHeldBeforeItHasDrainedThemAll) {
  TestCluster c(8);
  JobId job = c.Submit(SmallJob());
  for (int i = 0; i < 8 && c.StateOf(job) == "STARTING"; ++i) {
    std::string node = c.Of(job).nodes.front().node;
    Finds(c, node, "prolog of job 1: exit code 1", true);
    c.Ended(c.PrimaryOf(job), node, 125, EndReason::kNodeUnfit);
    c.ReleaseAll(job);
  }
  EXPECT_EQ(c.StateOf(job), "PENDING");
  EXPECT_EQ(c.Of(job).attempt, 3u);
  EXPECT_EQ(c.Of(job).hold, Hold::kAdmin);
}

TEST(NodeLife, ANodeWhereNoUserCanStartAnythingIsDrained) {
  TestCluster c(1);
  CannotStart(c, 20001);
  CannotStart(c, 20001);
  CannotStart(c, 20002);
  EXPECT_FALSE(NodeOf(c).drained) << "two users may both be wrong";
  CannotStart(c, 20003);
  EXPECT_TRUE(NodeOf(c).drained);
  EXPECT_NE(NodeOf(c).reason.find("3 users in a row could not run here"), std::string::npos);
  c.Do(ChangeNode{{1}, "n1", NodeChange::kResume, ""});
  CannotStart(c, 20004);
  EXPECT_FALSE(NodeOf(c).drained) << "it counts anew";
}

TEST(NodeLife, OneJobThatRunsSpeaksForTheNode) {
  TestCluster c(1);
  CannotStart(c, 20001);
  CannotStart(c, 20002);
  c.Finish(c.Submit(JobOf(20003)));
  CannotStart(c, 20004);
  c.Finish(c.Submit(JobOf(20005)), 1);  // his program's own failure says nothing
  CannotStart(c, 20006);
  EXPECT_FALSE(NodeOf(c).drained);
  CannotStart(c, 20007);
  EXPECT_TRUE(NodeOf(c).drained);
}

}  // namespace
JobSpec TolerantJob() {
  JobSpec spec = LaunchJob(2, 2);
  spec.command.kill_on_bad_exit = false;
  return spec;
}

TEST(NodeLife, RanksThatGoOnWithoutOthersOutliveADeadNode) {
  TestCluster c(3);
  JobId job = c.Submit(TolerantJob());
  ASSERT_EQ(c.NodesOf(job), "n1:1 n2:1");
  c.Started(c.PrimaryOf(job), "n1");
  c.Started(c.PrimaryOf(job), "n2");
  c.Lose("n2");
  c.Do(ChangeNode{{1}, "n2", NodeChange::kDown, "burnt"});
  EXPECT_EQ(c.StateOf(job), "RUNNING");
  EXPECT_EQ(c.Sent("n1", "EndJob 1.1"), 0U);
  c.Restart();
  c.Register("n1", "boot-1", {c.PrimaryOf(job)});
  EXPECT_EQ(c.StateOf(job), "RUNNING");
  c.Do(CreateStep{{1}, job, {.uid = c.Of(job).spec->user.uid}, {.argv = {"true"}}, {}, 0});
  ASSERT_EQ(c.Of(job).steps.size(), 2U);
  ASSERT_EQ(c.Of(job).steps.back().nodes.size(), 1U) << "a later step has no ranks on the dead node";
  EXPECT_EQ(c.Of(job).steps.back().nodes.front().node, "n1");
  c.Ended(c.PrimaryOf(job), "n1", 0);
  c.ReleaseAll(job);
  EXPECT_EQ(c.StateOf(job), "NODE_FAIL") << "nobody takes it for a success";
  c.Register("n2", "boot-1", {c.PrimaryOf(job)});
  EXPECT_EQ(c.Sent("n2", "EndJob 1.1"), 1U) << "what we gave up must not run on";
}

TEST(NodeLife, ADeadNodeEndsAJobOfWhichItHadTheLastRanks) {
  TestCluster c(2);
  JobId job = c.Submit(TolerantJob());
  c.Register("n2", "boot-2");
  EXPECT_EQ(c.StateOf(job), "STARTING");
  c.Register("n1", "boot-2");
  EXPECT_EQ(c.StateOf(job), "NODE_FAIL");
}

TEST(NodeLife, ABatchJobOutlivesTheDeadNodeOfItsStepThatGoesOn) {
  TestCluster c(2);
  JobSpec spec = WideJob(2, 2);
  spec.requeue = true;
  JobId job = c.Submit(spec);
  c.Started(c.PrimaryOf(job), "n1");
  Command command{.argv = {"program"}};
  command.kill_on_bad_exit = false;
  c.Do(CreateStep{{1}, job, {.uid = c.Of(job).spec->user.uid}, command, {}, 0});
  ASSERT_EQ(c.Of(job).steps.size(), 2U);
  StepId step{job, 1, c.Of(job).steps.back().number};
  c.Register("n2", "boot-2");
  EXPECT_EQ(c.StateOf(job), "RUNNING");
  c.Ended(step, "n1", 0);
  c.Ended(c.PrimaryOf(job), "n1", 0);
  c.ReleaseAll(job);
  EXPECT_EQ(c.StateOf(job), "COMPLETED");
}

TEST(NodeLife, ADeadNodeEndsAJobThatHadNothingOfThatKindThere) {
  TestCluster c(2);
  JobSpec spec = WideJob(2, 2);
  JobId job = c.Submit(spec);
  c.Register("n2", "boot-2");
  EXPECT_EQ(c.StateOf(job), "COMPLETING");
}

}  // namespace slipway::scheduler
