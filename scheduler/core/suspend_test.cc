// SPDX-License-Identifier: Apache-2.0
// Jobs that stand still: by an administrator's wish, or for another one that may have their cores meanwhile;
// and jobs that are warned before they have to go.
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

Site TwoQos(PreemptMode mode, std::uint32_t grace_s = 0) {
  Site site;
  site.qos = {{.name = "normal"},
              {.name = "urgent", .preempts = {"idle"}},
              {.name = "idle", .preempt = mode, .preempt_grace_s = grace_s}};
  return site;
}

JobSpec JobOf(const std::string& qos, std::uint32_t tasks, std::uint32_t limit_s = 3600) {
  JobSpec spec = SmallJob(tasks);
  spec.qos = qos;
  spec.time_limit_s = limit_s;
  return spec;
}

JobId Running(TestCluster& c, JobSpec spec) {
  JobId job = c.Submit(std::move(spec));
  StepId step = c.PrimaryOf(job);
  std::vector<StepNode> parts = c.Of(job).steps.front().nodes;
  for (const StepNode& part : parts) c.Started(step, part.node);
  return job;
}

Result<Answer> Suspend(TestCluster& c, JobId job, bool on, Requester by = {0, true}) {
  c.Do(SuspendJob{{1}, job, by, on});
  return c.answer;
}

TEST(Suspend, AnAdministratorLetsAJobStandStillAndItsTimeLimitWithIt) {
  TestCluster c(1);
  JobId job = Running(c, JobOf("", 4, 100));
  EXPECT_FALSE(Suspend(c, job, true, {20001, false}).has_value()) << "users hold or requeue";
  c.Pass(60);
  ASSERT_TRUE(Suspend(c, job, true).has_value());
  EXPECT_TRUE(c.Of(job).suspended());
  EXPECT_EQ(c.Sent("n1", Cat("SuspendStep ", job.value)), 1U);
  EXPECT_FALSE(Suspend(c, job, true).has_value()) << "it stands still already";
  JobId waits = c.Submit(JobOf("", 1));
  c.Pass(500);
  EXPECT_EQ(c.StateOf(job), "RUNNING");
  EXPECT_EQ(c.StateOf(waits), "PENDING") << "it keeps its cores";
  c.Restart();
  std::size_t before = c.Sent("n1", Cat("SuspendStep ", job.value));
  c.Register("n1", "boot-1", {c.PrimaryOf(job)});
  EXPECT_EQ(c.Sent("n1", Cat("SuspendStep ", job.value)), before + 1)
      << "said again to a node that comes back";
  ASSERT_TRUE(Suspend(c, job, false).has_value());
  EXPECT_EQ(c.Sent("n1", Cat("ResumeStep ", job.value)), 1U);
  c.Pass(38);
  EXPECT_EQ(c.StateOf(job), "RUNNING");
  c.Pass(3);
  EXPECT_EQ(c.StateOf(job), "COMPLETING") << "100 s of its own time are over";
}

// Chaos seed 7208: the clock had been set back, so no time went by, and what is said again said nothing.
TEST(Suspend, GoingOnIsSaidAgainToANodeThatComesBackEvenIfNoTimeWentBy) {
  TestCluster c(1);
  JobId job = Running(c, JobOf("", 4));
  ASSERT_TRUE(Suspend(c, job, true).has_value());
  ASSERT_TRUE(Suspend(c, job, false).has_value());
  std::size_t before = c.Sent("n1", Cat("ResumeStep ", job.value));
  c.Register("n1", "boot-1", {c.PrimaryOf(job)});
  EXPECT_EQ(c.Sent("n1", Cat("ResumeStep ", job.value)), before + 1);
}

TEST(Suspend, OnlyWhatRunsCanStandStillAndAnArrayMeansItsRunningTasks) {
  TestCluster c(1);
  JobSpec spec = JobOf("", 2);
  spec.array.emplace();
  spec.array->indices = {1, 2, 3};
  JobId array = c.Submit(spec);
  EXPECT_FALSE(Suspend(c, array, true).has_value()) << "they are being started";
  for (std::uint64_t task : {array.value + 1, array.value + 2}) c.Started(c.PrimaryOf({task}), "n1");
  ASSERT_TRUE(Suspend(c, array, true).has_value());
  EXPECT_TRUE(c.Of({array.value + 1}).suspended() && c.Of({array.value + 2}).suspended());
  EXPECT_FALSE(c.Of({array.value + 3}).suspended());
  EXPECT_TRUE(Suspend(c, array, false).has_value());
  EXPECT_FALSE(Suspend(c, {99}, true).has_value());
}

// slipway-sim chaos, seed 303: a step that began in a suspended job ran on cores that it had lent.
TEST(Suspend, NoStepBeginsInAJobThatStandsStillAndNoneIsCaughtAtItsStart) {
  TestCluster c(1);
  JobId job = Running(c, JobOf("", 4));
  Result<StepId> step = c.TryStep(job, {.tasks = 1});
  ASSERT_TRUE(step.has_value());
  EXPECT_FALSE(Suspend(c, job, true).has_value()) << "the step is being started";
  c.Started(*step, "n1");
  ASSERT_TRUE(Suspend(c, job, true).has_value());
  EXPECT_FALSE(c.TryStep(job, {.tasks = 1}).has_value());
  ASSERT_TRUE(Suspend(c, job, false).has_value());
  EXPECT_TRUE(c.TryStep(job, {.tasks = 1}).has_value());
}

TEST(Suspend, AJobThatStandsStillCanBeCancelled) {
  TestCluster c(1);
  JobId job = Running(c, JobOf("", 4));
  ASSERT_TRUE(Suspend(c, job, true).has_value());
  c.Do(CancelJob{{1}, job, {20001, false}});
  c.ReleaseAll(job);
  EXPECT_EQ(c.StateOf(job), "CANCELLED");
  EXPECT_EQ(c.StateOf(c.Submit(JobOf("", 4))), "STARTING");
}

TEST(PreemptSuspend, TheVictimStandsStillWhileTheOtherHasItsCoresAndGoesOnAfterIt) {
  TestCluster c(2, 4, 8 << 20, TwoQos(PreemptMode::kSuspend));
  JobId idle = Running(c, JobOf("idle", 4)), other = Running(c, JobOf("normal", 4));
  JobId urgent = c.Submit(JobOf("urgent", 2, 600));
  EXPECT_EQ(c.StateOf(urgent), "STARTING") << "at once";
  EXPECT_EQ(c.NodesOf(urgent), "n1:2");
  EXPECT_EQ(c.Of(idle).lent_to, urgent);
  EXPECT_EQ(c.Sent("n1", Cat("SuspendStep ", idle.value)), 1U);
  EXPECT_FALSE(Suspend(c, idle, false).has_value()) << "its cores are another's";
  JobId fills = c.Submit(JobOf("normal", 2, 300)), too_long = c.Submit(JobOf("normal", 2, 5000));
  EXPECT_EQ(c.StateOf(fills), "STARTING") << "ends before the cores are wanted back";
  EXPECT_EQ(c.StateOf(too_long), "PENDING");
  c.Restart();
  for (const char* node : {"n1", "n2"}) c.Register(node, "boot-1", {c.PrimaryOf(idle), c.PrimaryOf(other)});
  EXPECT_EQ(c.Of(idle).lent_to, urgent);
  c.Finish(fills);
  c.Finish(urgent);
  EXPECT_FALSE(c.Of(idle).suspended());
  EXPECT_EQ(c.Sent("n1", Cat("ResumeStep ", idle.value)), 1U);
  c.Finish(idle);
  EXPECT_EQ(c.StateOf(idle), "COMPLETED");
}

TEST(PreemptSuspend, MemoryAndGpusStayTheVictimsAndWhoNeedsThemWaits) {
  Site site = TwoQos(PreemptMode::kSuspend);
  site.nodes["n1"].gpus = {{"x", 1}};
  TestCluster c(1, 4, 8 << 20, site);
  JobSpec idle = JobOf("idle", 2);
  idle.resources.gpus_per_node = 1;
  idle.resources.nodes_min = 1;
  idle.resources.memory_bytes_per_node = 6 << 20;
  JobId victim = Running(c, idle);
  JobSpec urgent = JobOf("urgent", 4);
  urgent.resources.nodes_min = 1;
  urgent.resources.memory_bytes_per_node = 4 << 20;
  JobId needs_memory = c.Submit(urgent);
  EXPECT_EQ(c.StateOf(needs_memory), "PENDING");
  EXPECT_FALSE(c.Of(victim).suspended()) << "it would not help";
  c.Do(CancelJob{{1}, needs_memory, {20001, false}});
  urgent.resources.memory_bytes_per_node = 1 << 20;
  JobId fits = c.Submit(urgent);
  EXPECT_EQ(c.StateOf(fits), "STARTING");
  EXPECT_TRUE(c.Of(victim).suspended());
}

TEST(PreemptSuspend, AWholeNodeCannotBeLentItsJobRunsAgain) {
  TestCluster c(1, 4, 8 << 20, TwoQos(PreemptMode::kSuspend));
  JobSpec idle = JobOf("idle", 1);
  idle.resources.exclusive = true;
  JobId victim = Running(c, idle);
  JobId urgent = c.Submit(JobOf("urgent", 1));
  EXPECT_EQ(c.Of(victim).preempted_by, urgent);
  EXPECT_FALSE(c.Of(victim).suspended());
  EXPECT_TRUE(c.Of(victim).requeue_wanted);
}

Site LendersAndOthers() {
  Site site;
  site.qos = {{.name = "urgent", .preempts = {"idle", "other"}},
              {.name = "idle", .preempt = PreemptMode::kSuspend},
              {.name = "other", .preempt = PreemptMode::kRequeue, .preempt_grace_s = 30}};
  return site;
}

// slipway-sim chaos, seed 31765: of two victims one stood still at once and the other was given its grace;
// when that was over the cores of the first were no longer lent for long enough, and the start that had been
// promised was put off by the very preemption that was to make it earlier.
TEST(PreemptSuspend, NobodyStandsStillForOneWhoHasToWaitForAnotherVictim) {
  TestCluster c(1, 4, 8 << 20, LendersAndOthers());
  JobId idle = Running(c, JobOf("idle", 2)), other = Running(c, JobOf("other", 2));
  JobId urgent = c.Submit(JobOf("urgent", 4));
  EXPECT_FALSE(c.Of(idle).suspended()) << "nobody would have its cores for now";
  EXPECT_EQ(c.Of(idle).preempted_by, urgent);
  EXPECT_EQ(c.Of(other).preempted_by, urgent);
  auto planned = c.controller().PlannedStartOf(urgent);
  ASSERT_TRUE(planned);
  EXPECT_LE(planned->at, c.now.PlusSeconds(30 + 60)) << "when both are gone";
  c.Pass(30);
  for (JobId victim : {idle, other}) {
    c.Ended(c.PrimaryOf(victim), "n1", 143, EndReason::kKilled);
    c.ReleaseAll(victim);
  }
  EXPECT_EQ(c.StateOf(urgent), "STARTING");
}

TEST(PreemptSuspend, WhereThoseWhoLendAreEnoughTheOthersStayAndItStartsAtOnce) {
  TestCluster c(1, 6, 8 << 20, LendersAndOthers());
  JobId dear = Running(c, JobOf("idle", 3));
  c.Pass(100);
  JobId other = Running(c, JobOf("other", 2)), cheap = Running(c, JobOf("idle", 1));
  JobId urgent = c.Submit(JobOf("urgent", 3, 600));
  EXPECT_EQ(c.StateOf(urgent), "STARTING");
  EXPECT_TRUE(c.Of(dear).suspended());
  EXPECT_FALSE(c.Of(other).preempted_by || c.Of(cheap).suspended()) << "no work is lost";
}

// Two jobs of QOS that preempt: `ahead` comes first, and may not preempt who runs. One that comes first of
// all is planned elsewhere, so that `ahead` has no promise.
void AheadAndUrgent(PreemptMode mode, auto test) {
  Site site;
  site.plan.reservations = 1;
  site.qos = {{.name = "urgent", .preempts = {"idle"}},
              {.name = "ahead", .preempts = {"normal"}},
              {.name = "normal"},
              {.name = "idle", .preempt = mode}};
  TestCluster c(2, 4, 8 << 20, site);
  JobId idle = Running(c, JobOf("idle", 4, 20'000));
  Running(c, JobOf("ahead", 4, 10'000));
  JobSpec elsewhere = JobOf("ahead", 4);
  elsewhere.resources.choice.Set({"n2", ""});
  c.Submit(elsewhere);
  JobId ahead = c.Submit(JobOf("ahead", 4, 600));
  EXPECT_EQ(c.StateOf(ahead), "PENDING");
  EXPECT_FALSE(c.controller().PlannedStartOf(ahead));
  test(c, idle, ahead, c.Submit(JobOf("urgent", 4, 600)));
}

TEST(PreemptSuspend, LentCoresAreForTheOneWhoPreemptedAndForNobodyAheadOfIt) {
  AheadAndUrgent(PreemptMode::kSuspend, [](TestCluster& c, JobId idle, JobId ahead, JobId urgent) {
    EXPECT_EQ(c.Of(idle).lent_to, urgent);
    EXPECT_EQ(c.StateOf(urgent), "STARTING");
    EXPECT_EQ(c.StateOf(ahead), "PENDING") << "it may not preempt";
    c.Finish(urgent);
    EXPECT_FALSE(c.Of(idle).suspended()) << "it goes on when that one has ended";
  });
}

TEST(Preemption, ClearedNodesAreForTheOneWhoPreemptedAndForNobodyAheadOfIt) {
  AheadAndUrgent(PreemptMode::kRequeue, [](TestCluster& c, JobId idle, JobId ahead, JobId urgent) {
    EXPECT_EQ(c.Of(idle).preempted_by, urgent);
    c.Ended(c.PrimaryOf(idle), "n1", 143, EndReason::kKilled);
    c.ReleaseAll(idle);
    EXPECT_EQ(c.StateOf(urgent), "STARTING");
    EXPECT_EQ(c.StateOf(ahead), "PENDING");
  });
}

TEST(PreemptSuspend, AVictimThatIsCancelledMeanwhileGivesNothingBackTwice) {
  TestCluster c(1, 4, 8 << 20, TwoQos(PreemptMode::kSuspend));
  JobId idle = Running(c, JobOf("idle", 4));
  JobId urgent = c.Submit(JobOf("urgent", 4, 600));
  c.Do(CancelJob{{1}, idle, {20001, false}});
  c.ReleaseAll(idle);
  EXPECT_EQ(c.StateOf(idle), "CANCELLED");
  EXPECT_EQ(c.state().FindNode("n1")->cores_free.count(), 0U) << "they are the other's";
  c.Finish(urgent);
  EXPECT_EQ(c.state().FindNode("n1")->cores_free.count(), 4U);
  c.Restart();
}

TEST(PreemptGrace, TheVictimIsWarnedAndEndedWhenItsGraceIsOver) {
  TestCluster c(1, 4, 8 << 20, TwoQos(PreemptMode::kRequeue, 30));
  JobId idle = Running(c, JobOf("idle", 4));
  JobId urgent = c.Submit(JobOf("urgent", 4));
  EXPECT_EQ(c.Sent("n1", Cat("WarnStep ", idle.value)), 1U);
  EXPECT_EQ(c.Sent("n1", Cat("KillStep ", idle.value)), 0U);
  c.Pass(29);
  EXPECT_EQ(c.Sent("n1", Cat("KillStep ", idle.value)), 0U);
  c.Restart();
  c.Register("n1", "boot-1", {c.PrimaryOf(idle)});
  c.Pass(1);
  EXPECT_EQ(c.Sent("n1", Cat("KillStep ", idle.value)), 1U) << "after a restart, too";
  c.Ended(c.PrimaryOf(idle), "n1", 143, EndReason::kKilled);
  c.ReleaseAll(idle);
  EXPECT_EQ(c.StateOf(urgent), "STARTING");
  EXPECT_EQ(c.StateOf(idle), "PENDING");
}

TEST(SuspendUsage, WhatStandsStillCostsNothing) {
  TestCluster c(1);
  JobId job = Running(c, JobOf("", 1, 10'000));
  c.Pass(100);
  ASSERT_TRUE(Suspend(c, job, true).has_value());
  std::uint64_t before = c.state().usage.begin()->second;
  EXPECT_GT(before, 0U);
  c.Pass(100);
  ASSERT_TRUE(Suspend(c, job, false).has_value());
  EXPECT_EQ(c.state().usage.begin()->second, before);
  c.Finish(job);
  EXPECT_LT(c.state().usage.begin()->second, before + 2000);
}

}  // namespace
}  // namespace slipway::scheduler
