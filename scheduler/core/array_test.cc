// SPDX-License-Identifier: Apache-2.0
// Tasks of an array that have not started are one record: three of them wait as jobs here, the others are
// numbers.
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint32_t kAlice = 20001, kWindow = 3;

struct ArrayTasks : testing::Test {
  TestCluster cluster{1, 2, 8 << 20, {}, kWindow};

  JobSpec Spec(std::uint32_t tasks, std::uint32_t max_running = 0) {
    JobSpec spec = SmallJob(1);
    spec.array.emplace();
    for (std::uint32_t i = 0; i < tasks; ++i) spec.array->indices.push_back(10 + i);
    spec.array->max_running = max_running;
    return spec;
  }
  const Array& Of(JobId array) { return cluster.state().arrays.at(array); }
  JobId Task(JobId array, std::uint32_t task) { return Of(array).TaskId(task); }
  void Cancel(JobId job, std::uint32_t uid = kAlice) { cluster.Do(CancelJob{{1}, job, {uid, false}}); }
  void Change(JobId job, JobUpdate update) { cluster.Do(ChangeJob{{1}, job, {kAlice, false}, update}); }
};

TEST_F(ArrayTasks, TasksThatHaveNotStartedCostNothing) {
  JobId array = cluster.Submit(Spec(100'000));
  EXPECT_EQ(cluster.state().jobs.size(), 2U + kWindow) << "two run, three wait";
  EXPECT_EQ(Of(array).unmade(), 100'000U - 5);
  EXPECT_EQ(cluster.state().live_by_association.begin()->second, 100'000)
      << "for limits on submissions all count";
  std::string bytes = EncodeState(cluster.state());
  EXPECT_LT(bytes.size(), 100'000 * sizeof(std::uint32_t) + 10'000) << "but for their indices";
}

TEST_F(ArrayTasks, TheyRunInTheirOrderAndTheArrayEndsWithTheLast) {
  JobId array = cluster.Submit(Spec(8));
  JobId after = [&] {
    JobSpec spec = SmallJob(1);
    spec.dependencies = {{DependencyKind::kAfterOk, array, 0}};
    return cluster.Submit(spec);
  }();
  for (std::uint32_t task = 0; task < 8; ++task) {
    ASSERT_EQ(cluster.StateOf(Task(array, task)), "STARTING") << task;
    EXPECT_EQ(cluster.Of(Task(array, task)).array_task, 10 + task);
    EXPECT_EQ(cluster.StateOf(after), "PENDING");
    cluster.Finish(Task(array, task));
  }
  EXPECT_EQ(Of(array).ended, 8U);
  EXPECT_EQ(Of(array).failed, 0U);
  EXPECT_EQ(cluster.StateOf(after), "STARTING");
}

TEST_F(ArrayTasks, NodesKeepTheirMarksUntilTheLastTaskHasStarted) {
  JobId array = cluster.Submit(Spec(20));
  JobId later = cluster.Submit(SmallJob(1));
  Cancel(later);
  EXPECT_LE(cluster.state().oldest_live_job(), Task(array, 19));
}

TEST_F(ArrayTasks, CancellingTheWholeEndsTasksThatAreNoJobsToo) {
  JobId array = cluster.Submit(Spec(1000));
  JobSpec spec = SmallJob(1);
  spec.dependencies = {{DependencyKind::kAfterAny, array, 0}};
  JobId any = cluster.Submit(spec);
  spec.dependencies = {{DependencyKind::kAfterOk, Task(array, 900), 0}};
  JobId never = cluster.Submit(spec);
  EXPECT_EQ(cluster.Of(never).dependencies.size(), 1U) << "a task that is no job yet can be waited for";
  std::size_t before = cluster.log.size();
  Cancel(array);
  EXPECT_TRUE(cluster.answer.has_value());
  EXPECT_LT(cluster.log.size() - before, 20U) << "and not one event for each";
  cluster.ReleaseAll(Task(array, 0));
  cluster.ReleaseAll(Task(array, 1));
  EXPECT_EQ(Of(array).ended, 1000U);
  EXPECT_EQ(Of(array).failed, 1000U);
  EXPECT_EQ(cluster.StateOf(any), "STARTING");
  EXPECT_EQ(cluster.Of(never).DependenciesState(), DependencyState::kNever);
  EXPECT_EQ(cluster.state().FindUnmade(Task(array, 900))->state, JobState::kCancelled);
  EXPECT_EQ(cluster.state().live_by_association.begin()->second, 2);
}

TEST_F(ArrayTasks, WhatWaitsForAHeldArrayStartsWhenThatIsCancelled) {
  JobSpec held = Spec(10);
  held.hold = true;
  JobId array = cluster.Submit(held);
  JobSpec spec = SmallJob(1);
  spec.dependencies = {{DependencyKind::kAfterAny, array, 0}};
  JobId after = cluster.Submit(spec);
  spec.dependencies = {{DependencyKind::kAfter, Task(array, 8), 0}};
  JobId after_one = cluster.Submit(spec);
  Cancel(array);
  EXPECT_EQ(cluster.StateOf(after), "STARTING");
  EXPECT_EQ(cluster.StateOf(after_one), "STARTING");
}

TEST_F(ArrayTasks, OneTaskCanBeCancelledBeforeItIsAJob) {
  JobId array = cluster.Submit(Spec(20));
  Cancel(Task(array, 15), 20002);
  EXPECT_EQ(cluster.answer.error().code, Code::kPermissionDenied);
  EXPECT_EQ(cluster.state().FindJob(Task(array, 15)), nullptr) << "somebody else's word changes nothing";
  Cancel(Task(array, 15));
  EXPECT_EQ(cluster.StateOf(Task(array, 15)), "CANCELLED");
  for (std::uint32_t task = 0; task < 20; ++task) {
    if (task != 15) cluster.Finish(Task(array, task));
  }
  EXPECT_EQ(Of(array).ended, 20U);
  EXPECT_EQ(Of(array).failed, 1U);
}

TEST_F(ArrayTasks, HoldAndReleaseReachAllOfThemOrOne) {
  JobId array = cluster.Submit(Spec(20));
  Change(Task(array, 6), {.hold = Hold::kUser});
  Change(array, {.nice = 7});
  ASSERT_TRUE(cluster.answer.has_value()) << cluster.answer.error().message;
  for (std::uint32_t task = 0; task < 6; ++task) cluster.Finish(Task(array, task));
  EXPECT_EQ(cluster.StateOf(Task(array, 6)), "PENDING");
  EXPECT_EQ(cluster.StateOf(Task(array, 7)), "STARTING") << "the held one lets others by";
  EXPECT_EQ(cluster.Of(Task(array, 9)).nice, 7);
  EXPECT_EQ(cluster.Of(Task(array, 9)).hold, Hold::kNone);
}

TEST_F(ArrayTasks, AHeldArrayIsReleasedAsAWhole) {
  JobSpec spec = Spec(10);
  spec.hold = true;
  JobId array = cluster.Submit(spec);
  EXPECT_TRUE(cluster.state().active.empty());
  Change(array, {.hold = Hold::kNone});
  for (std::uint32_t task = 0; task < 10; ++task) {
    ASSERT_EQ(cluster.StateOf(Task(array, task)), "STARTING");
    cluster.Finish(Task(array, task));
  }
}

TEST_F(ArrayTasks, WhatTheyWaitForIsMetForThoseThatAreMadeLater) {
  JobId first = cluster.Submit(SmallJob(2));
  JobSpec spec = Spec(10);
  spec.dependencies = {{DependencyKind::kAfterOk, first, 0}};
  JobId array = cluster.Submit(spec);
  cluster.Finish(first);
  cluster.Pass(2 * 24 * 3600);  // long after the first one was forgotten
  for (std::uint32_t task = 0; task < 10; ++task) {
    ASSERT_EQ(cluster.StateOf(Task(array, task)), "STARTING") << task;
    cluster.Finish(Task(array, task));
  }
}

TEST_F(ArrayTasks, ASingletonWaitsForTasksThatAreNoJobsYet) {
  JobId array = cluster.Submit(Spec(6));
  JobSpec spec = SmallJob(1);
  spec.dependencies = {{DependencyKind::kSingleton, {}, 0}};
  JobId last = cluster.Submit(spec);
  for (std::uint32_t task = 0; task < 6; ++task) {
    EXPECT_EQ(cluster.StateOf(last), "PENDING");
    cluster.Finish(Task(array, task));
  }
  EXPECT_EQ(cluster.StateOf(last), "STARTING");
}

TEST_F(ArrayTasks, TheSameTaskOfAnotherArrayIsWaitedFor) {
  JobId first = cluster.Submit(Spec(8));
  JobSpec spec = Spec(8);
  spec.dependencies = {{DependencyKind::kAfterCorr, first, 0}};
  JobId second = cluster.Submit(spec);
  for (std::uint32_t task = 0; task < 8; ++task) cluster.Finish(Task(first, task), task == 5 ? 1 : 0);
  EXPECT_EQ(cluster.Of(Task(second, 7)).DependenciesState(), DependencyState::kMet);
  EXPECT_EQ(cluster.Of(Task(second, 5)).DependenciesState(), DependencyState::kNever);
}

TEST_F(ArrayTasks, ARestartForgetsNoneOfThem) {
  JobId array = cluster.Submit(Spec(10, 1));
  Change(Task(array, 8), {.hold = Hold::kUser});
  Change(array, {.time_limit_s = 77});
  cluster.Finish(Task(array, 0));
  Result<State> again = DecodeState(EncodeState(cluster.state()));
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(EncodeState(*again), EncodeState(cluster.state()));
  EXPECT_EQ(again->unmade, cluster.state().unmade);
  EXPECT_EQ(again->live_by_association, cluster.state().live_by_association);
  EXPECT_EQ(again->dependents, cluster.state().dependents);
  cluster.Restart();
  cluster.Register("n1", "boot-1", {{Task(array, 1), 1, kBatchStep}});
  for (std::uint32_t task = 1; task < 10; ++task) {
    if (task == 8) continue;
    ASSERT_EQ(cluster.StateOf(Task(array, task)), "STARTING") << task;
    cluster.Finish(Task(array, task));
  }
  EXPECT_EQ(cluster.Of(Task(array, 9)).time_limit_s, 77U);
  EXPECT_EQ(cluster.StateOf(Task(array, 8)), "PENDING");
}

TEST_F(ArrayTasks, WhyATaskThatIsNoJobWaitsIsSaid) {
  JobId array = cluster.Submit(Spec(20));
  Explanation why = cluster.controller().Explain(Task(array, 15));
  ASSERT_EQ(why.reasons.size(), 1U);
  EXPECT_EQ(why.reasons[0],
            "waits behind others of its array: 3 tasks are before it in the queue; ask about 1_14");
}

}  // namespace
}  // namespace slipway::scheduler
