// SPDX-License-Identifier: Apache-2.0
// --signal: a job's steps are told before their time is over, once, whatever happens meanwhile.
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint8_t kUsr1 = 10;

JobSpec Asking(JobSpec spec, std::uint32_t limit_s, std::uint16_t before_s, bool batch_only = false) {
  spec.time_limit_s = limit_s;
  spec.signal = {kUsr1, batch_only, before_s};
  return spec;
}

JobId Running(TestCluster& c, JobSpec spec) {
  JobId job = c.Submit(std::move(spec));
  StepId step = c.PrimaryOf(job);
  std::vector<StepNode> parts = c.Of(job).steps.front().nodes;
  for (const StepNode& part : parts) c.Started(step, part.node);
  return job;
}

std::size_t Sent(const TestCluster& c, const StepId& step, const std::string& node = "n1") {
  return c.Sent(node, Cat("SignalStep ", ToString(step), " "));
}
std::size_t Recorded(const TestCluster& c) {
  return static_cast<std::size_t>(std::ranges::count_if(c.log, [](const std::string& record) {
    return Describe(*DecodeEvent(record)).starts_with("JobSignalled");
  }));
}

TEST(Signal, ComesSoLongBeforeTheTimeLimitToAllNodesAndOnce) {
  TestCluster c(2);
  JobId job = Running(c, Asking(LaunchJob(2, 4), 100, 30));
  StepId step = c.PrimaryOf(job);
  c.Pass(69);
  EXPECT_EQ(Sent(c, step), 0U);
  c.Pass(1);
  EXPECT_EQ(Sent(c, step, "n1"), 1U);
  EXPECT_EQ(Sent(c, step, "n2"), 1U);
  for (int i = 0; i < 20; ++i) c.Pass(1);
  EXPECT_EQ(Recorded(c), 1U);
  EXPECT_LE(Sent(c, step), 3U) << "said again every ten seconds: nodes act upon it once";
  EXPECT_EQ(c.StateOf(job), "RUNNING");
  c.Finish(job);
  EXPECT_EQ(c.StateOf(job), "COMPLETED");
  c.Restart();
}

TEST(Signal, IsForTheStepsOrForTheBatchScriptAlone) {
  for (bool batch_only : {false, true}) {
    TestCluster c(1);
    JobId job = Running(c, Asking(SmallJob(4), 100, 10, batch_only));
    Result<StepId> step = c.TryStep(job, {.tasks = 2});
    ASSERT_TRUE(step.has_value());
    c.Started(*step, "n1");
    c.Pass(90);
    EXPECT_EQ(Sent(c, c.PrimaryOf(job)) > 0, batch_only);
    EXPECT_EQ(Sent(c, *step) > 0, !batch_only);
    Result<StepId> later = c.TryStep(job, {.tasks = 2});
    ASSERT_TRUE(later.has_value());
    c.Started(*later, "n1");
    c.Pass(5);
    EXPECT_EQ(Sent(c, *later), 0U) << "it was not there yet";
  }
}

TEST(Signal, AStepThatIsJustBeingStartedGetsItOnceItRuns) {
  TestCluster c(1);
  JobId job = c.Submit(Asking(LaunchJob(1, 1), 100, 90));
  StepId step = c.PrimaryOf(job);
  c.Pass(20);
  EXPECT_EQ(Recorded(c), 1U);
  EXPECT_EQ(Sent(c, step), 0U);
  c.Started(step, "n1");
  EXPECT_EQ(Sent(c, step), 1U);
}

TEST(Signal, OutlivesARestartBeforeItAndAfterIt) {
  TestCluster c(1);
  JobId job = Running(c, Asking(LaunchJob(1, 1), 100, 30));
  StepId step = c.PrimaryOf(job);
  c.Pass(50);
  c.Restart();
  c.Register("n1", "boot-1", {step});
  c.Pass(20);
  std::size_t before = Sent(c, step);
  EXPECT_GE(before, 1U);
  c.Restart();
  c.Register("n1", "boot-1", {step});
  EXPECT_EQ(Sent(c, step), before + 1) << "it may not have arrived";
  EXPECT_EQ(Recorded(c), 1U);
  EXPECT_EQ(EncodeState(*DecodeState(EncodeState(c.state()))), EncodeState(c.state()));
  EXPECT_TRUE(DecodeState(EncodeState(c.state()))->FindJob(job)->steps.front().signalled);
}

TEST(Signal, OneThatWasDueWhileTheControllerWasAwayComesAtOnce) {
  TestCluster c(1);
  JobId job = Running(c, Asking(LaunchJob(1, 1), 100, 60));
  StepId step = c.PrimaryOf(job);
  c.now = c.now.PlusSeconds(70);
  c.Restart();
  c.Register("n1", "boot-1", {step});
  EXPECT_EQ(Sent(c, step), 1U);
}

TEST(Signal, FollowsATimeLimitThatWasChanged) {
  TestCluster c(1);
  JobId job = Running(c, Asking(LaunchJob(1, 1), 1000, 30));
  c.Pass(50);
  c.Do(ChangeJob{{1}, job, {20001, false}, {.time_limit_s = 100}});
  ASSERT_TRUE(c.answer.has_value());
  c.Pass(19);
  EXPECT_EQ(Recorded(c), 0U);
  c.Pass(1);
  EXPECT_EQ(Recorded(c), 1U);
  c.Do(ChangeJob{{1}, job, {20001, false}, {.time_limit_s = 90}});
  c.Pass(1);
  EXPECT_EQ(Recorded(c), 1U) << "once in an attempt";
}

TEST(Signal, WhatStandsStillHasItsTimeLater) {
  TestCluster c(1);
  JobId job = Running(c, Asking(LaunchJob(1, 1), 100, 30));
  c.Pass(60);
  c.Do(SuspendJob{{1}, job, {0, true}, true});
  c.Pass(500);
  EXPECT_EQ(Recorded(c), 0U);
  c.Do(SuspendJob{{1}, job, {0, true}, false});
  c.Pass(9);
  EXPECT_EQ(Recorded(c), 0U);
  c.Pass(1);
  EXPECT_EQ(Recorded(c), 1U);
}

TEST(Signal, ComesAgainInTheNextAttempt) {
  TestCluster c(1);
  JobId job = Running(c, Asking(SmallJob(), 100, 30, true));
  c.Pass(70);
  EXPECT_EQ(Recorded(c), 1U);
  c.Do(ChangeJob{{1}, job, {20001, false}, {.requeue = true}});
  c.ReleaseAll(job);
  ASSERT_EQ(c.Of(job).attempt, 2U);
  c.Started(c.PrimaryOf(job), "n1");
  c.Pass(69);
  EXPECT_EQ(Recorded(c), 1U);
  c.Pass(1);
  EXPECT_EQ(Recorded(c), 2U);
}

TEST(Signal, ALimitShorterThanItsNoticeMeansAtOnce) {
  TestCluster c(1);
  JobId job = Running(c, Asking(LaunchJob(1, 1), 20, 60));
  EXPECT_EQ(Recorded(c), 1U);
  EXPECT_EQ(Sent(c, c.PrimaryOf(job)), 1U);
}

TEST(Signal, WhatCannotBeSentIsRefused) {
  TestCluster c(1);
  JobSpec spec = Asking(SmallJob(), 0, 60);
  EXPECT_NE(c.TrySubmit(spec).error().message.find("no time limit"), std::string::npos);
  spec = Asking(LaunchJob(1, 1), 100, 60, true);
  EXPECT_NE(c.TrySubmit(spec).error().message.find("B:"), std::string::npos);
  spec = Asking(SmallJob(), 100, 60);
  spec.signal.number = 65;
  EXPECT_NE(c.TrySubmit(spec).error().message.find("no signal 65"), std::string::npos);
}

TEST(Signal, IsKeptInTheRecordOfTheSubmissionAndInNoOther) {
  JobSubmitted plain{{7}, SmallJob(), 0}, asking{{7}, Asking(SmallJob(), 100, 60, true), 0};
  std::string without = EncodeEvent({{5}, plain}), with = EncodeEvent({{5}, asking});
  EXPECT_EQ(with.size(), without.size() + 4 + 4 + 4 + 4 + 4) << "a count, a number, the signal, two strings";
  EXPECT_EQ(std::get<JobSubmitted>(DecodeEvent(with)->body).spec.signal, asking.spec.signal);
  EXPECT_FALSE(DecodeEvent(with.substr(0, with.size() - 1)).has_value());
  EXPECT_FALSE(DecodeEvent(with + "x").has_value());
  HetJobSubmitted het{{7}, {SmallJob(), Asking(SmallJob(), 100, 60)}};
  auto read = std::get<HetJobSubmitted>(DecodeEvent(EncodeEvent({{5}, het}))->body);
  EXPECT_EQ(read.components[1].signal.number, kUsr1);
  EXPECT_EQ(read.components[0].signal.number, 0);
}

}  // namespace
}  // namespace slipway::scheduler
