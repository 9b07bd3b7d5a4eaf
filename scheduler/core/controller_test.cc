// SPDX-License-Identifier: Apache-2.0
// What the controller promises about jobs, steps and nodes.
#include "scheduler/core/controller.h"

#include <gtest/gtest.h>

#include "scheduler/core/placement.h"
#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

TEST(Controller, RunsABatchJobFromSubmissionToItsEnd) {
  TestCluster c(2);
  JobId job = c.Submit(SmallJob());
  EXPECT_EQ(c.StateOf(job), "STARTING");
  EXPECT_EQ(c.Sent("n1", "LaunchStep 1.1.batch"), 1U);
  c.Started(c.PrimaryOf(job), "n1");
  EXPECT_EQ(c.StateOf(job), "RUNNING");
  c.Ended(c.PrimaryOf(job), "n1", 3);
  EXPECT_EQ(c.StateOf(job), "COMPLETING");
  EXPECT_EQ(c.Sent("n1", "EndJob 1.1"), 1U);
  c.ReleaseAll(job);
  EXPECT_EQ(c.StateOf(job), "FAILED");
  EXPECT_EQ(c.Of(job).outcome->exit_code, 3);
  EXPECT_EQ(c.state().FindNode("n1")->cores_free.count(), 4U);
}

TEST(Controller, PersistsBeforeItTellsAnyone) {
  Controller controller(State{});
  (void)controller.Begin(1, {1});
  (void)controller.Handle(RegisterNode{"n1", 1, {.cores = 4}, "b", "", {}, {}}, {2});
  std::vector<Effect> effects = controller.Handle(SubmitJob{{7}, SmallJob()}, {3});
  ASSERT_GE(effects.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<Persist>(effects[0]));
  EXPECT_TRUE(std::holds_alternative<Reply>(effects[1]));
}

TEST(Controller, StartsInteractiveStepOnAllNodesWithItsRanks) {
  TestCluster c(2);
  JobId job = c.Submit(LaunchJob(2, 4));
  EXPECT_EQ(c.Sent("n1", "LaunchStep 1.1.0 part 0"), 1U);
  EXPECT_EQ(c.Sent("n2", "LaunchStep 1.1.0 part 1"), 1U);
  const auto& parts = c.Of(job).steps[0].nodes;
  EXPECT_EQ(std::tuple(parts[0].first_rank, parts[0].tasks, parts[1].first_rank, parts[1].tasks),
            std::tuple(0, 2, 2, 2));
  c.Finish(job);
  EXPECT_EQ(c.StateOf(job), "COMPLETED");
}

TEST(Controller, FirstFailureInTimeIsTheStepsExitCodeAndEndsTheOthers) {
  TestCluster c(3);
  JobId job = c.Submit(LaunchJob(3, 3));
  StepId step = c.PrimaryOf(job);
  for (const char* node : {"n1", "n2", "n3"}) c.Started(step, node);
  c.Ended(step, "n2", 7);
  EXPECT_EQ(c.Sent("n1", "KillStep"), 1U);
  EXPECT_EQ(c.Sent("n2", "KillStep"), 0U);
  c.Ended(step, "n1", 137, EndReason::kKilled);
  c.Ended(step, "n3", 9);
  c.ReleaseAll(job);
  EXPECT_EQ(c.Of(job).outcome->exit_code, 7);
}

TEST(Controller, ARealFailureCountsBeforeOneThatOurKillCaused) {
  TestCluster c(2);
  JobId job = c.Submit(LaunchJob(2, 2));
  StepId step = c.PrimaryOf(job);
  c.Ended(step, "n1", 137, EndReason::kKilled);
  c.Ended(step, "n2", 7);
  c.ReleaseAll(job);
  EXPECT_EQ(c.Of(job).outcome->exit_code, 7);
}

TEST(Controller, LateAndDuplicateReportsChangeNothingButAreAcknowledged) {
  TestCluster c(1);
  JobId job = c.Submit(SmallJob());
  StepId step = c.PrimaryOf(job);
  c.Finish(job);
  std::string before = EncodeState(c.state());
  std::size_t acks = c.Sent("n1", "AckReport"), records = c.log.size();
  c.Started(step, "n1");
  c.Ended(step, "n1", 99);
  c.Ended({{12345}, 1, 0}, "n1", 99);
  EXPECT_EQ(EncodeState(c.state()), before);
  EXPECT_EQ(c.log.size(), records);
  EXPECT_EQ(c.Sent("n1", "AckReport"), acks + 3);
}

TEST(Controller, AReleaseThatNobodyAskedForFreesNothing) {
  TestCluster c(1);
  JobId job = c.Submit(SmallJob());
  c.ReleaseAll(job);
  EXPECT_EQ(c.StateOf(job), "STARTING");
  EXPECT_EQ(c.state().FindNode("n1")->cores_free.count(), 3U);
}

TEST(Controller, StepsInsideAnAllocationShareItAndDieWithTheBatchStep) {
  TestCluster c(2);
  JobId job = c.Submit(WideJob(2, 4));
  c.Started(c.PrimaryOf(job), "n1");
  Result<StepId> step = c.TryStep(job, {});
  ASSERT_TRUE(step.has_value());
  EXPECT_EQ(step->step, 0U);
  EXPECT_EQ(c.Sent("n2", "LaunchStep 1.1.0 part 1"), 1U);
  c.Started(*step, "n2");
  c.Ended(c.PrimaryOf(job), "n1");
  c.ReleaseAll(job);
  EXPECT_EQ(c.StateOf(job), "COMPLETED");
  EXPECT_EQ(c.Of(job).FindStep(0)->reason, EndReason::kKilled);
}

TEST(Controller, StepsAreForTheJobsUserAndWithinItsAllocation) {
  TestCluster c(2);
  JobId job = c.Submit(WideJob(1, 2));
  EXPECT_EQ(c.TryStep(job, {}, 20002).error().code, Code::kPermissionDenied);
  EXPECT_EQ(c.TryStep(job, {.nodes_min = 2}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(c.TryStep(job, {.tasks = 3}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(c.TryStep({99}, {}).error().code, Code::kNotFound);
  EXPECT_TRUE(c.TryStep(job, {.tasks = 2}).has_value());
}

TEST(Controller, CancelsPendingJobsAtOnceAndRunningOnesByTheirNodes) {
  TestCluster c(1);
  JobId running = c.Submit(SmallJob(4)), pending = c.Submit(SmallJob(4));
  c.Do(CancelJob{{1}, pending, {20002, false}});
  EXPECT_EQ(c.answer.error().code, Code::kPermissionDenied);
  c.Do(CancelJob{{1}, pending, {20001, false}});
  EXPECT_EQ(c.StateOf(pending), "CANCELLED");
  c.Do(CancelJob{{1}, running, {0, true}});
  EXPECT_EQ(c.StateOf(running), "COMPLETING");
  EXPECT_EQ(c.Sent("n1", "EndJob 1.1"), 1U);
  c.ReleaseAll(running);
  EXPECT_EQ(c.StateOf(running), "CANCELLED");
  c.Do(CancelJob{{1}, running, {20001, false}});
  EXPECT_TRUE(c.answer.has_value()) << "asking twice is no error";
}

TEST(Controller, EndsAJobAtItsTimeLimit) {
  TestCluster c(1);
  JobSpec spec = SmallJob();
  spec.time_limit_s = 60;
  JobId job = c.Submit(spec);
  c.Started(c.PrimaryOf(job), "n1");
  c.Pass(58);
  EXPECT_EQ(c.StateOf(job), "RUNNING");
  c.Pass(2);
  EXPECT_EQ(c.StateOf(job), "COMPLETING");
  c.ReleaseAll(job);
  EXPECT_EQ(c.StateOf(job), "TIMEOUT");
}

TEST(Controller, AJobRunsOnWhileItsNodeIsSilent) {
  TestCluster c(2);
  JobSpec spec = SmallJob();
  spec.requeue = true;
  JobId job = c.Submit(spec);
  StepId step = c.PrimaryOf(job);
  c.Started(step, "n1");
  c.Lose("n1");
  c.Pass(100'000);
  EXPECT_EQ(c.state().FindNode("n1")->state, NodeState::kUnknown);
  EXPECT_EQ(c.StateOf(job), "RUNNING");
  c.Register("n1", "boot-1", {step});
  EXPECT_EQ(c.StateOf(job), "RUNNING");
  c.Ended(step, "n1", 0);
  c.ReleaseAll(job);
  EXPECT_EQ(c.StateOf(job), "COMPLETED");
}

TEST(Controller, ANewBootIdFailsTheJobAndRequeuesItIfAsked) {
  TestCluster c(2);
  JobSpec spec = SmallJob();
  JobId ends = c.Submit(spec);
  spec.requeue = true;
  JobId again = c.Submit(spec);
  c.Lose("n1");
  c.Register("n1", "boot-2");
  EXPECT_EQ(c.StateOf(ends), "NODE_FAIL");
  EXPECT_EQ(c.StateOf(again), "STARTING");
  EXPECT_EQ(c.Of(again).attempt, 2U);
  c.Finish(again);
  EXPECT_EQ(c.StateOf(again), "COMPLETED");
}

TEST(Controller, AMultiNodeJobIsClearedEverywhereBeforeItIsRequeued) {
  TestCluster c(2);
  JobSpec spec = WideJob(2, 2);
  spec.requeue = true;
  JobId job = c.Submit(spec);
  c.Started(c.PrimaryOf(job), "n1");
  c.Register("n2", "boot-2");
  EXPECT_EQ(c.StateOf(job), "COMPLETING");
  EXPECT_EQ(c.Sent("n1", "EndJob 1.1"), 1U);
  c.Do(JobReleased{"n1", c.controller().SessionOf("n1"), job, 1});
  EXPECT_EQ(c.StateOf(job), "STARTING");
  EXPECT_EQ(c.Of(job).attempt, 2U);
}

TEST(Controller, ANodeThatLostAStepWithoutRebootFailsIt) {
  TestCluster c(1);
  JobId job = c.Submit(SmallJob());
  c.Started(c.PrimaryOf(job), "n1");
  c.Register("n1", "boot-1", {});
  EXPECT_EQ(c.StateOf(job), "COMPLETING");
  EXPECT_EQ(c.Of(job).outcome->reason, EndReason::kLost);
}

TEST(Controller, ADeclaredDownNodeGivesItsJobsUpAndStaysOutUntilResumed) {
  TestCluster c(1);
  JobId job = c.Submit(SmallJob());
  c.Do(ChangeNode{{1}, "n1", NodeChange::kDown, "burnt"});
  EXPECT_EQ(c.StateOf(job), "NODE_FAIL");
  c.Register("n1", "boot-1", {{job, 1, kBatchStep}});
  EXPECT_EQ(c.Sent("n1", "EndJob 1.1"), 2U) << "what we gave up must not run on";
  JobId next = c.Submit(SmallJob());
  EXPECT_EQ(c.StateOf(next), "PENDING");
  EXPECT_EQ(c.controller().ReasonOf(next), PendingReason::kNodesUnavailable);
  c.Do(ChangeNode{{1}, "n1", NodeChange::kResume, ""});
  EXPECT_EQ(c.StateOf(next), "STARTING");
}

TEST(Controller, ADrainedNodeStartsNothingButLetsItsJobsRun) {
  TestCluster c(2);
  JobId job = c.Submit(SmallJob(4));
  c.Do(ChangeNode{{1}, "n1", NodeChange::kDrain, "fan"});
  JobId next = c.Submit(SmallJob(4));
  EXPECT_EQ(c.NodesOf(next), "n2:4");
  c.Finish(job);
  EXPECT_EQ(c.StateOf(job), "COMPLETED");
}

TEST(Controller, ARestartGoesOnWithEveryJobAndSaysAgainWhatWasNotConfirmed) {
  TestCluster c(2);
  JobId runs = c.Submit(SmallJob(4)), starts = c.Submit(SmallJob(4)), waits = c.Submit(SmallJob(4));
  c.Started(c.PrimaryOf(runs), "n1");
  c.Restart();
  EXPECT_EQ(c.state().FindNode("n1")->state, NodeState::kUnknown);
  c.Register("n1", "boot-1", {c.PrimaryOf(runs)});
  c.Register("n2");
  EXPECT_EQ(c.Sent("n1", "LaunchStep 1.1.batch"), 1U) << "it runs: nothing to say";
  EXPECT_EQ(c.Sent("n2", "LaunchStep 2.1.batch"), 2U);
  c.Finish(runs);
  c.Finish(starts);
  c.Finish(waits);
  EXPECT_EQ(c.StateOf(waits), "COMPLETED");
}

TEST(Controller, SaysAgainWhatANodeDoesNotConfirm) {
  TestCluster c(1);
  (void)c.Submit(SmallJob());
  c.Pass(5);
  EXPECT_EQ(c.Sent("n1", "LaunchStep"), 1U);
  c.Pass(10);
  EXPECT_EQ(c.Sent("n1", "LaunchStep"), 2U);
}

TEST(Controller, MessagesOfAnOldStreamCannotRegisterANode) {
  TestCluster c(1);
  std::uint64_t session = c.controller().SessionOf("n1");
  c.Do(RegisterNode{"n1", session - 1, {.cores = 99}, "old", "", {}, {}});
  EXPECT_EQ(c.state().FindNode("n1")->facts.cores, 4U);
  c.Do(LoseNode{"n1", session - 1});
  EXPECT_EQ(c.state().FindNode("n1")->state, NodeState::kUp);
}

TEST(Controller, AClockThatIsSetBackStandsStill) {
  TestCluster c(1);
  JobId first = c.Submit(SmallJob());
  c.now = c.now.PlusSeconds(-3600);
  JobId second = c.Submit(SmallJob());
  EXPECT_GE(c.Of(second).submitted, c.Of(first).submitted);
}

TEST(Controller, ForgetsEndedJobsAfterTheirTime) {
  TestCluster c(1);
  JobId job = c.Submit(SmallJob());
  c.Finish(job);
  c.Pass(24 * 3600 + 1);
  EXPECT_EQ(c.state().FindJob(job), nullptr);
  c.Restart();
  EXPECT_EQ(c.state().FindJob(job), nullptr);
}

// Four cores on each of two nodes, busy for ten minutes; then a job for both, and one that would take one.
struct Promises : testing::Test {
  TestCluster cluster{2, 4};
  JobId runs[2], wide, small;
  Promises() {
    for (JobId& job : runs) {
      JobSpec spec = SmallJob(3);
      spec.time_limit_s = 600;
      job = cluster.Submit(spec);
    }
    JobSpec spec = WideJob(2, 8);
    spec.time_limit_s = 600;
    wide = cluster.Submit(spec);
    promised = *cluster.controller().PlannedStartOf(wide);
  }
  void Register() {
    for (std::uint32_t i = 1; i <= 2; ++i)
      cluster.Register(TestCluster::NodeName(i), "boot-1", {{runs[i - 1], 1, kBatchStep}});
  }
  PlannedStart promised;
};

TEST_F(Promises, APlannedStartSurvivesARestart) {
  cluster.Restart();
  cluster.Pass(1);
  EXPECT_EQ(cluster.controller().PlannedStartOf(wide), promised) << "the nodes are not back yet";
  JobSpec first = WideJob(2, 8);
  first.priority = 1000;
  first.time_limit_s = 600;
  JobId later = cluster.Submit(first);
  Register();
  cluster.Pass(1);
  EXPECT_EQ(cluster.controller().PlannedStartOf(wide), promised) << "whoever comes before it";
  for (JobId job : runs) cluster.Finish(job);
  EXPECT_EQ(cluster.StateOf(wide), "STARTING");
  EXPECT_EQ(cluster.StateOf(later), "PENDING");
}

// Chaos seeds 10267 and 13145: the plan was made anew for it, behind whoever had come meanwhile.
TEST_F(Promises, AChangeThatChangesNothingCostsNone) {
  JobSpec first = WideJob(2, 8);
  first.priority = 1000;
  first.time_limit_s = 6000;
  cluster.Submit(first);
  for (JobUpdate nothing : {JobUpdate{.hold = Hold::kNone}, JobUpdate{.nice = 0}}) {
    cluster.Do(ChangeJob{{1}, wide, {0, true}, nothing});
    cluster.Pass(1);
    EXPECT_EQ(cluster.controller().PlannedStartOf(wide), promised);
  }
}

TEST_F(Promises, OnNodesThatDoNotComeBackItIsGivenUp) {
  cluster.Restart();
  cluster.Register("n1", "boot-1", {{runs[0], 1, kBatchStep}});
  cluster.Pass(30);
  EXPECT_TRUE(cluster.controller().PlannedStartOf(wide).has_value());
  cluster.Pass(60);
  EXPECT_FALSE(cluster.controller().PlannedStartOf(wide).has_value());
  EXPECT_FALSE(cluster.Of(wide).planned.has_value());
  cluster.Register("n2", "boot-1", {{runs[1], 1, kBatchStep}});
  EXPECT_TRUE(cluster.controller().PlannedStartOf(wide).has_value());
}

TEST_F(Promises, OnANodeThatIsDrainedBeforeItComesBackItIsGivenUpAtOnce) {
  cluster.Restart();
  cluster.Pass(1);
  ASSERT_TRUE(cluster.controller().PlannedStartOf(wide).has_value());
  cluster.Do(ChangeNode{{1}, "n1", NodeChange::kDrain, "broken"});
  cluster.Pass(1);
  EXPECT_FALSE(cluster.controller().PlannedStartOf(wide).has_value());
}

TEST_F(Promises, TheyAreInTheStateAsLongAsTheyHold) {
  EXPECT_EQ(cluster.Of(wide).planned, promised);
  cluster.Do(ChangeJob{{1}, wide, {20001, false}, {.hold = Hold::kUser}});
  EXPECT_FALSE(cluster.Of(wide).planned.has_value());
  cluster.Do(ChangeJob{{1}, wide, {20001, false}, {.hold = Hold::kNone}});
  EXPECT_TRUE(cluster.Of(wide).planned.has_value());
  Result<State> again = DecodeState(EncodeState(cluster.state()));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->FindJob(wide)->planned, cluster.Of(wide).planned);
  cluster.Do(CancelJob{{1}, wide, {20001, false}});
  EXPECT_FALSE(cluster.Of(wide).planned.has_value());
}

TEST(Controller, WhatAStepUsedIsKeptByLogAndSnapshot) {
  TestCluster c(2);
  JobId job = c.Submit(LaunchJob(2, 4));
  StepId step = c.PrimaryOf(job);
  c.facts.binding = "cores 0:0 1:1";
  c.Started(step, "n1");
  c.Started(step, "n1");  // again: nothing new
  c.facts.usage = {.cpu_us = 7, .memory_peak_bytes = 4096};
  c.Ended(step, "n1");
  auto kept = [](const State& state, JobId job) { return state.FindJob(job)->steps[0].nodes[0].facts; };
  ASSERT_TRUE(kept(c.state(), job));
  EXPECT_EQ(*kept(c.state(), job), c.facts);
  EXPECT_FALSE(c.Of(job).steps[0].nodes[1].facts) << "nothing is known of the other node";
  std::size_t noted = 0;
  for (const std::string& record : c.log)
    noted += std::holds_alternative<StepFactsNoted>(DecodeEvent(record)->body) ? 1 : 0;
  EXPECT_EQ(noted, 2u);
  auto again = DecodeState(EncodeState(c.state()));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*kept(*again, job), c.facts);
  EXPECT_EQ(EncodeState(*again), EncodeState(c.state()));
}

TEST(Controller, WhatTheAgentMeteredOfAStepIsKeptByLogAndSnapshot) {
  TestCluster c(1);
  JobId job = c.Submit(LaunchJob(1, 1));
  StepId step = c.PrimaryOf(job);
  c.facts.binding = "cores 0:0";
  c.Started(step, "n1");
  c.facts.usage = {.cpu_us = 7};
  c.facts.metered = {.energy_mj = 12'000,
                     .node_energy_mj = 40'000,
                     .gpu_energy_mj = 9,
                     .gpu_busy_us = 5,
                     .gpu_watched_us = 10,
                     .gpu_memory_peak_bytes = 1 << 30,
                     .libraries = "libcuda.so.550.54.14 libnvidia-ml.so.550.54.14"};
  c.Ended(step, "n1");
  auto kept = [&](const State& state) { return state.FindJob(job)->steps[0].nodes[0].facts; };
  ASSERT_TRUE(kept(c.state()));
  EXPECT_EQ(*kept(c.state()), c.facts);
  auto again = DecodeState(EncodeState(c.state()));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*kept(*again), c.facts);
  EXPECT_EQ(EncodeState(*again), EncodeState(c.state()));
  std::string last;
  for (const std::string& record : c.log) {
    if (Describe(*DecodeEvent(record)).starts_with("StepMeteredNoted")) last = record;
  }
  EXPECT_EQ(std::get<StepMeteredNoted>(DecodeEvent(last)->body).metered, c.facts.metered);
}

}  // namespace
}  // namespace slipway::scheduler
