// SPDX-License-Identifier: Apache-2.0
// Who is made to go, for whom, and what becomes of him.
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

Site TwoQos(PreemptMode mode) {
  Site site;
  site.qos = {
      {.name = "normal"}, {.name = "urgent", .preempts = {"idle"}}, {.name = "idle", .preempt = mode}};
  return site;
}

JobSpec JobOf(const std::string& qos, std::uint32_t tasks) {
  JobSpec spec = SmallJob(tasks);
  spec.qos = qos;
  spec.time_limit_s = 3600;
  return spec;
}

// The victim's nodes do as they are told.
void GoAway(TestCluster& c, JobId victim) {
  StepId step = c.PrimaryOf(victim);
  std::vector<StepNode> parts = c.Of(victim).steps.front().nodes;
  for (const StepNode& part : parts) c.Ended(step, part.node, 143, EndReason::kKilled);
  c.ReleaseAll(victim);
}

TEST(Preemption, AJobOfABetterQosMakesOthersGoAndTheyRunAgain) {
  TestCluster c(2, 4, 8 << 20, TwoQos(PreemptMode::kRequeue));
  JobId idle = c.Submit(JobOf("idle", 4)), normal = c.Submit(JobOf("normal", 4));
  JobId urgent = c.Submit(JobOf("urgent", 4));
  EXPECT_EQ(c.StateOf(urgent), "PENDING");
  EXPECT_EQ(c.Of(idle).preempted_by, urgent);
  EXPECT_FALSE(c.Of(normal).preempted_by) << "it may not preempt that one";
  EXPECT_EQ(c.Sent("n1", Cat("KillStep ", idle.value)), 1U);
  JobId late = c.Submit(JobOf("normal", 4));
  c.Finish(idle, 143);  // ended by itself meanwhile, with an error of its own
  EXPECT_EQ(c.StateOf(urgent), "STARTING") << "nobody slipped in";
  EXPECT_EQ(c.StateOf(late), "PENDING");
}

TEST(Preemption, TheVictimIsRequeuedOrEndsAsItsQosSays) {
  for (PreemptMode mode : {PreemptMode::kRequeue, PreemptMode::kCancel}) {
    TestCluster c(1, 4, 8 << 20, TwoQos(mode));
    JobId idle = c.Submit(JobOf("idle", 4));
    c.Started(c.PrimaryOf(idle), "n1");
    JobId urgent = c.Submit(JobOf("urgent", 2));
    GoAway(c, idle);
    EXPECT_EQ(c.StateOf(urgent), "STARTING");
    bool again = mode == PreemptMode::kRequeue;
    EXPECT_EQ(c.StateOf(idle), again ? "PENDING" : "PREEMPTED");
    if (!again) {
      EXPECT_NE(c.Of(idle).outcome->message.find(Cat("preempted by job ", urgent.value)), std::string::npos);
    }
    c.Restart();
  }
}

// Chaos seed 24519: one ran again, and waited for ever for the other.
TEST(Preemption, ComponentsThatStartedTogetherGoTogetherAndForGoodIfOneDoes) {
  for (PreemptMode mode : {PreemptMode::kRequeue, PreemptMode::kCancel}) {
    Site site;
    site.qos = {{.name = "urgent", .preempts = {"idle", "other"}},
                {.name = "idle", .preempt = PreemptMode::kRequeue},
                {.name = "other", .preempt = mode}};
    TestCluster c(2, 4, 8 << 20, site);
    SubmitJob both{{1}, JobOf("idle", 4), {JobOf("other", 4)}};
    c.Do(both);
    JobId first = std::get<JobAccepted>(*c.answer).job, second{first.value + 1};
    c.Started(c.PrimaryOf(first), c.Of(first).nodes.front().node);
    c.Submit(JobOf("urgent", 4));
    EXPECT_TRUE(c.Of(first).preempted_by && c.Of(second).preempted_by);
    GoAway(c, first);
    c.ReleaseAll(second);
    for (JobId id : {first, second})
      EXPECT_EQ(c.StateOf(id), mode == PreemptMode::kRequeue ? "PENDING" : "PREEMPTED") << id.value;
  }
}

TEST(Preemption, ThoseGoThatLoseTheLeastWorkAndNoMoreThanAreNeeded) {
  TestCluster c(3, 4, 8 << 20, TwoQos(PreemptMode::kCancel));
  JobId old = c.Submit(JobOf("idle", 4));
  c.Pass(1000);
  JobId young = c.Submit(JobOf("idle", 4));
  c.Pass(100);
  JobId small = c.Submit(JobOf("idle", 1));
  JobId urgent = c.Submit(JobOf("urgent", 4));
  EXPECT_EQ(c.Of(small).preempted_by, urgent) << "one core for no time";
  EXPECT_FALSE(c.Of(old).preempted_by);
  EXPECT_FALSE(c.Of(young).preempted_by);
  JobSpec wide = JobOf("urgent", 8);
  wide.resources.nodes_min = 2;
  JobId two = c.Submit(wide);
  c.Pass(1);
  EXPECT_EQ(c.Of(old).preempted_by, two) << "both are needed";
  EXPECT_EQ(c.Of(young).preempted_by, two);
}

TEST(Preemption, NobodyGoesWhenItWouldNotHelp) {
  TestCluster c(2, 4, 8 << 20, TwoQos(PreemptMode::kCancel));
  JobId idle = c.Submit(JobOf("idle", 4));
  (void)c.Submit(JobOf("normal", 4));
  JobSpec wide = JobOf("urgent", 8);
  wide.resources.nodes_min = 2;
  (void)c.Submit(wide);
  EXPECT_FALSE(c.Of(idle).preempted_by) << "the other node stays busy";
}

TEST(Preemption, AHigherTierPreemptsWhereThePartitionAllowsIt) {
  Site site;
  site.partitions = {{.name = "low", .all_nodes = true, .is_default = true, .preempt = PreemptMode::kRequeue},
                     {.name = "high", .all_nodes = true, .tier = 2},
                     {.name = "safe", .all_nodes = true}};
  TestCluster c(2, 4, 8 << 20, site);
  JobSpec safe = JobOf("", 4), high = JobOf("", 4);
  safe.resources.partition = "safe";
  high.resources.partition = "high";
  JobId kept = c.Submit(safe), low = c.Submit(JobOf("", 4)), first = c.Submit(high);
  EXPECT_EQ(c.Of(low).preempted_by, first);
  EXPECT_FALSE(c.Of(kept).preempted_by);
  GoAway(c, low);
  EXPECT_EQ(c.StateOf(first), "STARTING");
  JobId second = c.Submit(high);
  c.Pass(1);
  EXPECT_FALSE(c.Of(first).preempted_by) << "equal tiers leave each other alone";
  EXPECT_EQ(c.StateOf(second), "PENDING");
}

TEST(Preemption, APromiseThatHasToYieldIsOneThatWasTakenBack) {  // chaos, seed 20136
  TestCluster c(1, 4, 8 << 20, TwoQos(PreemptMode::kRequeue));
  (void)c.Submit(JobOf("idle", 4));
  JobId planned = c.Submit(JobOf("idle", 4));
  auto before = c.controller().PlannedStartOf(planned);
  ASSERT_TRUE(before);
  std::uint64_t disturbances = c.controller().policy().disturbances();
  (void)c.Submit(JobOf("urgent", 4));
  auto after = c.controller().PlannedStartOf(planned);
  EXPECT_TRUE(!after || after->at > before->at);
  EXPECT_GT(c.controller().policy().disturbances(), disturbances) << "it is known as such";
}

TEST(Preemption, AVictimIsExpectedToBeGoneSoonAfterARestartAndNoLaterThanBefore) {  // chaos, seed 20136
  TestCluster c(1, 4, 8 << 20, TwoQos(PreemptMode::kRequeue));
  JobId idle = c.Submit(JobOf("idle", 4)), urgent = c.Submit(JobOf("urgent", 4));
  ASSERT_TRUE(c.Of(idle).preempted_by);
  auto promised = c.controller().PlannedStartOf(urgent);
  ASSERT_TRUE(promised);
  c.Pass(5);
  c.Do(ChangeAccount{{1}, {0, true}, AccountSet{{"other", "root", 1, "", {}}}});  // all is planned anew
  ASSERT_TRUE(c.controller().PlannedStartOf(urgent));
  EXPECT_EQ(c.controller().PlannedStartOf(urgent)->at, promised->at);
  c.Restart();
  c.Register("n1", "boot-1", {c.PrimaryOf(idle)});
  c.Pass(1);
  ASSERT_TRUE(c.controller().PlannedStartOf(urgent));
  EXPECT_LE(c.controller().PlannedStartOf(urgent)->at, promised->at);
}

TEST(Preemption, AVictimThatHadEndedWellIsNotRunAgain) {
  TestCluster c(1, 4, 8 << 20, TwoQos(PreemptMode::kRequeue));
  JobId idle = c.Submit(JobOf("idle", 4));
  (void)c.Submit(JobOf("urgent", 4));
  ASSERT_TRUE(c.Of(idle).preempted_by);
  c.Finish(idle, 0);
  EXPECT_EQ(c.StateOf(idle), "COMPLETED");
}

TEST(Preemption, APromiseToAJobThatMayBePreemptedDoesNotBindWhoMayPreemptIt) {
  TestCluster c(1, 4, 8 << 20, TwoQos(PreemptMode::kRequeue));
  JobId normal = c.Submit(JobOf("normal", 4));
  JobId idle = c.Submit(JobOf("idle", 4));
  ASSERT_TRUE(c.controller().PlannedStartOf(idle));
  JobSpec longer = JobOf("urgent", 4);
  longer.time_limit_s = 7200;
  JobId urgent = c.Submit(longer);
  c.Finish(normal);
  EXPECT_EQ(c.StateOf(urgent), "STARTING");
  EXPECT_EQ(c.StateOf(idle), "PENDING");
}

}  // namespace
}  // namespace slipway::scheduler
