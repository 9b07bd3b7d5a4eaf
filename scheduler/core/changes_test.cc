// SPDX-License-Identifier: Apache-2.0
// What keeps a job from being considered, and what changes that: dependencies, holds, updates.
#include <gtest/gtest.h>

#include "scheduler/core/placement.h"
#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

JobSpec After(DependencyKind kind, JobId on, std::uint32_t delay_s = 0) {
  JobSpec spec = SmallJob();
  spec.dependencies.push_back({kind, on, delay_s});
  return spec;
}
Result<Answer> Change(TestCluster& c, JobId job, JobUpdate update, Requester by = {20001, false}) {
  c.Do(ChangeJob{{1}, job, by, std::move(update)});
  return c.answer;
}
PendingReason ReasonOf(TestCluster& c, JobId job) { return c.controller().ReasonOf(job); }

TEST(Dependency, AfterOkStartsAfterSuccessAndNeverAfterFailure) {
  TestCluster c(2);
  JobId good = c.Submit(SmallJob()), bad = c.Submit(SmallJob());
  JobId on_good = c.Submit(After(DependencyKind::kAfterOk, good));
  JobId on_bad = c.Submit(After(DependencyKind::kAfterOk, bad));
  JobId on_failure = c.Submit(After(DependencyKind::kAfterNotOk, bad));
  JobId on_any = c.Submit(After(DependencyKind::kAfterAny, bad));
  EXPECT_EQ(ReasonOf(c, on_good), PendingReason::kDependency);
  c.Finish(good);
  c.Finish(bad, 1);
  EXPECT_EQ(c.StateOf(on_good), "STARTING");
  EXPECT_EQ(c.StateOf(on_failure), "STARTING");
  EXPECT_EQ(c.StateOf(on_any), "STARTING");
  EXPECT_EQ(c.StateOf(on_bad), "PENDING");
  EXPECT_EQ(ReasonOf(c, on_bad), PendingReason::kDependencyNever);
  c.Restart();
  EXPECT_EQ(c.Of(on_bad).DependenciesState(), DependencyState::kNever);
}

TEST(Dependency, AfterIsMetByTheStartAndWaitsItsMinutes) {
  TestCluster c(1, 4);
  JobId first = c.Submit(SmallJob(4));
  JobId other = c.Submit(SmallJob(4));
  JobSpec spec = After(DependencyKind::kAfter, other, 120);
  JobId waits = c.Submit(spec);
  EXPECT_EQ(ReasonOf(c, waits), PendingReason::kDependency);
  c.Finish(first);
  EXPECT_EQ(c.StateOf(other), "STARTING");
  EXPECT_EQ(ReasonOf(c, waits), PendingReason::kBeginTime);
  c.Finish(other);
  c.Pass(121);
  EXPECT_EQ(c.StateOf(waits), "STARTING");
}

TEST(Dependency, AllOfThemOrAnyOfThem) {
  TestCluster c(2);
  JobId a = c.Submit(SmallJob()), b = c.Submit(SmallJob());
  JobSpec both = After(DependencyKind::kAfterAny, a);
  both.dependencies.push_back({DependencyKind::kAfterAny, b, 0});
  JobSpec either = both;
  either.any_dependency = true;
  JobId on_both = c.Submit(both), on_either = c.Submit(either);
  c.Finish(a);
  EXPECT_EQ(c.StateOf(on_either), "STARTING");
  EXPECT_EQ(c.StateOf(on_both), "PENDING");
  c.Finish(b);
  EXPECT_EQ(c.StateOf(on_both), "STARTING");
}

TEST(Dependency, OnAnArrayMeansAllItsTasksAndAftercorrTheTaskOfTheSameIndex) {
  TestCluster c(4, 4);
  JobSpec spec = SmallJob();
  spec.array = ArrayRequest{{1, 2}, 0};
  JobId array = c.Submit(spec);
  JobId task1{array.value + 1}, task2{array.value + 2};
  JobId on_all = c.Submit(After(DependencyKind::kAfterOk, array));
  JobSpec pairwise = After(DependencyKind::kAfterCorr, array);
  pairwise.array = ArrayRequest{{1, 2}, 0};
  JobId second = c.Submit(pairwise);
  c.Finish(task2);
  EXPECT_EQ(c.StateOf({second.value + 2}), "STARTING");
  EXPECT_EQ(c.StateOf({second.value + 1}), "PENDING");
  EXPECT_EQ(c.StateOf(on_all), "PENDING");
  c.Finish(task1);
  EXPECT_EQ(c.StateOf({second.value + 1}), "STARTING");
  EXPECT_EQ(c.StateOf(on_all), "STARTING");
}

TEST(Dependency, ASingletonWaitsForEarlierJobsOfItsNameAndUser) {
  TestCluster c(2);
  JobId first = c.Submit(SmallJob());
  JobSpec spec = SmallJob();
  spec.dependencies.push_back({DependencyKind::kSingleton, {}, 0});
  JobId second = c.Submit(spec), third = c.Submit(spec);
  spec.name = "other";
  EXPECT_EQ(c.StateOf(c.Submit(spec)), "STARTING");
  EXPECT_EQ(c.StateOf(second), "PENDING");
  c.Finish(first);
  EXPECT_EQ(c.StateOf(second), "STARTING");
  EXPECT_EQ(c.StateOf(third), "PENDING");
  c.Do(CancelJob{{1}, second, {20001, false}});
  c.ReleaseAll(second);
  EXPECT_EQ(c.StateOf(third), "STARTING");
}

TEST(Dependency, OutlivesTheMemoryOfWhatItWasOn) {
  TestCluster c(1);
  JobId a = c.Submit(SmallJob());
  JobSpec spec = After(DependencyKind::kAfterOk, a);
  spec.hold = true;
  JobId b = c.Submit(spec);
  c.Finish(a);
  c.Pass(25 * 3600);
  EXPECT_EQ(c.state().FindJob(a), nullptr);
  c.Restart();
  c.Register("n1");
  ASSERT_TRUE(Change(c, b, {.hold = Hold::kNone}).has_value());
  EXPECT_EQ(c.StateOf(b), "STARTING");
}

TEST(BadInput, ADependencyOnNoJobOnItselfOrOnALaterOneIsRefused) {
  TestCluster c(1);
  JobId a = c.Submit(SmallJob());
  for (std::uint64_t wrong : {std::uint64_t{0}, a.value + 1, a.value + 2, std::uint64_t{999'999}}) {
    Result<JobId> id = c.TrySubmit(After(DependencyKind::kAfterOk, {wrong}));
    ASSERT_FALSE(id.has_value());  // so no cycle can be made
    EXPECT_EQ(id.error().code, Code::kNotFound);
    EXPECT_NE(id.error().message.find("there is no job"), std::string::npos);
  }
  EXPECT_FALSE(c.TrySubmit(After(DependencyKind::kAfterCorr, a)).has_value());
}

TEST(Hold, AHeldJobStartsWhenItIsReleased) {
  TestCluster c(1);
  JobSpec spec = SmallJob();
  spec.hold = true;
  JobId job = c.Submit(spec);
  EXPECT_EQ(ReasonOf(c, job), PendingReason::kHeldByUser);
  ASSERT_TRUE(Change(c, job, {.hold = Hold::kNone}).has_value());
  EXPECT_EQ(c.StateOf(job), "STARTING");
  EXPECT_FALSE(Change(c, job, {.hold = Hold::kUser}).has_value()) << "it runs";
}

TEST(Hold, AnAdministratorsHoldIsHisToRelease) {
  TestCluster c(1, 4);
  (void)c.Submit(SmallJob(4));
  JobId job = c.Submit(SmallJob(4));
  ASSERT_TRUE(Change(c, job, {.hold = Hold::kAdmin}, {1, true}).has_value());
  EXPECT_EQ(ReasonOf(c, job), PendingReason::kHeldByAdmin);
  Result<Answer> refused = Change(c, job, {.hold = Hold::kNone});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
  EXPECT_FALSE(Change(c, job, {.hold = Hold::kNone}, {20002, false}).has_value()) << "not his job";
  EXPECT_TRUE(Change(c, job, {.hold = Hold::kNone}, {1, true}).has_value());
}

TEST(Update, NicenessReordersTheQueue) {
  TestCluster c(1, 4);
  JobId running = c.Submit(SmallJob(4)), a = c.Submit(SmallJob(4)), b = c.Submit(SmallJob(4));
  ASSERT_TRUE(Change(c, a, {.nice = 10}).has_value());
  EXPECT_FALSE(Change(c, a, {.nice = 5}).has_value()) << "raising it again is for administrators";
  c.Finish(running);
  EXPECT_EQ(c.StateOf(b), "STARTING");
  EXPECT_EQ(c.StateOf(a), "PENDING");
  c.Restart();
  EXPECT_EQ(c.Of(a).nice, 10);
}

TEST(Update, AShorterTimeLimitEndsARunningJobEarlierAndALongerOneIsForAdministrators) {
  TestCluster c(1);
  JobSpec spec = SmallJob();
  spec.time_limit_s = 600;
  JobId job = c.Submit(spec);
  EXPECT_FALSE(Change(c, job, {.time_limit_s = 700}).has_value());
  ASSERT_TRUE(Change(c, job, {.time_limit_s = 60}).has_value());
  c.Pass(61);
  EXPECT_EQ(c.StateOf(job), "COMPLETING");
  c.ReleaseAll(job);
  EXPECT_EQ(c.StateOf(job), "TIMEOUT");
}

TEST(Requeue, ARunningJobRunsAgainWithTheNextAttempt) {
  TestCluster c(1);
  JobId job = c.Submit(SmallJob());
  ASSERT_TRUE(Change(c, job, {.requeue = true}).has_value());
  EXPECT_EQ(c.StateOf(job), "COMPLETING");
  c.ReleaseAll(job);
  EXPECT_EQ(c.StateOf(job), "STARTING");
  EXPECT_EQ(c.Of(job).attempt, 2U);
  JobId launch = c.Submit(LaunchJob(1, 1));
  EXPECT_FALSE(Change(c, launch, {.requeue = true}).has_value());
  c.Finish(job);
  EXPECT_EQ(c.StateOf(job), "COMPLETED");
  EXPECT_FALSE(Change(c, job, {.requeue = true}).has_value()) << "it has ended";
}

TEST(Arrays, ChangesOfAnArrayAreChangesOfAllItsTasks) {
  TestCluster c(1, 4);
  JobSpec spec = SmallJob();
  spec.hold = true;
  spec.array = ArrayRequest{{1, 2, 3}, 0};
  JobId array = c.Submit(spec);
  ASSERT_TRUE(Change(c, array, {.hold = Hold::kNone}).has_value());
  for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_EQ(c.StateOf({array.value + i}), "STARTING");
}

TEST(BadInput, TimeGoingBackwardsStandsStill) {
  TestCluster c(1, 4);
  JobSpec spec = SmallJob(4);
  spec.time_limit_s = 60;
  JobId first = c.Submit(spec), second = c.Submit(spec);
  Time before = c.controller().PlannedStartOf(second)->at;
  c.now.us -= 3'600'000'000;
  c.Do(Tick{});
  EXPECT_EQ(c.controller().PlannedStartOf(second)->at, before);
  c.now.us += 3'600'000'000;
  c.Finish(first);
  EXPECT_EQ(c.StateOf(second), "STARTING");
}

TEST(Dependency, WhereOneIsEnoughALaterOneDoesNotPutTheJobOff) {  // chaos, seed 31462
  TestCluster c(1, 4);
  JobId first = c.Submit(SmallJob(4)), second = c.Submit(SmallJob(4));
  JobSpec spec = SmallJob(4);
  spec.dependencies = {{DependencyKind::kAfter, first, 0}, {DependencyKind::kAfter, second, 3600}};
  spec.any_dependency = true;
  spec.hold = true;
  JobId waits = c.Submit(spec);
  c.Finish(first);
  ASSERT_EQ(c.StateOf(second), "STARTING");
  EXPECT_LE(c.Of(waits).begin, c.now);
  c.Finish(second);
  c.Do(ChangeJob{{1}, waits, {20001, false}, {.hold = Hold::kNone}});
  EXPECT_EQ(c.StateOf(waits), "STARTING");
}

TEST(Changes, ALimitIsShorterThanNoneAndNoneIsLongerThanAny) {
  TestCluster cluster(1, 1);
  cluster.Submit(SmallJob());
  JobId waits = cluster.Submit(SmallJob());
  auto set = [&](std::uint32_t limit_s) {
    cluster.Do(ChangeJob{{1}, waits, {20001, false}, {.time_limit_s = limit_s}});
    return cluster.answer.has_value();
  };
  EXPECT_TRUE(set(60)) << "from none";
  EXPECT_FALSE(set(0)) << "back to none is an administrator's";
  EXPECT_EQ(cluster.Of(waits).time_limit_s, 60U);
}

TEST(Cancel, WhatWaitedForAJobThatNeverStartedStartsAtOnce) {
  TestCluster cluster(1, 1);
  JobSpec held = SmallJob();
  held.hold = true;
  JobId first = cluster.Submit(held);
  JobSpec spec = SmallJob();
  spec.dependencies = {{DependencyKind::kAfterAny, first, 0}};
  JobId after = cluster.Submit(spec);
  cluster.Do(CancelJob{{1}, first, {20001, false}});
  EXPECT_EQ(cluster.StateOf(after), "STARTING");
}

}  // namespace
}  // namespace slipway::scheduler
