// SPDX-License-Identifier: Apache-2.0
// How many starts of one user's jobs, or of one partition's, may be promised at once: who is beyond that
// waits without a promise, and nobody who has one loses it.
#include <gtest/gtest.h>

#include "scheduler/plan/test_jobs.h"

namespace slipway::plan {
namespace {

class Bounds : public ::testing::Test {
 protected:
  explicit Bounds(const char* policy = "multifactor:4") : planner_(MakePolicy(policy)) {}

  // One node of four cores, which somebody else has until 100.
  void Fill() {
    planner_.cluster().AddNode(Of(4));
    planner_.Add(JobOf(kRunning, 100, Of(4)));
    ASSERT_EQ(Started(planner_.Pass()), std::vector<JobNumber>{kRunning});
  }
  std::uint32_t Bound(std::int64_t most) {
    Limit limit;
    limit.planned_max = most;
    return planner_.AddLimit(limit);
  }
  static PlanJob Bounded(JobNumber id, std::vector<std::uint32_t> limits, std::int64_t priority = 0,
                         std::int64_t cores = 4) {
    PlanJob job = JobOf(id, 100, Of(cores), 1, priority);
    job.limits = std::move(limits);
    return job;
  }
  void Add(JobNumber id, std::vector<std::uint32_t> limits, std::int64_t priority = 0) {
    planner_.Add(Bounded(id, std::move(limits), priority));
  }
  std::vector<JobNumber> Promised() const {
    std::vector<JobNumber> jobs;
    for (const Planner::Promise& promise : planner_.Promises()) jobs.push_back(promise.job);
    return jobs;
  }
  std::vector<JobNumber> PassAt(Instant now) {
    planner_.Advance(now);
    return Started(planner_.Pass());
  }

  static constexpr JobNumber kRunning = 99;
  Planner planner_;
};

TEST_F(Bounds, OneUsersJobsAreNotPromisedMoreThanHisBoundAndOthersGetTheRest) {
  Fill();
  std::uint32_t ann = Bound(2), bob = Bound(2);
  for (JobNumber id = 1; id <= 4; ++id) Add(id, {ann});
  for (JobNumber id = 5; id <= 7; ++id) Add(id, {bob});
  PassAt(0);
  EXPECT_EQ(Promised(), (std::vector<JobNumber>{1, 2, 5, 6}));
  EXPECT_EQ(planner_.PromiseOf(5)->start, 300) << "as if 3 and 4 were not there";
  EXPECT_EQ(planner_.BoundOnPlanning(3), ann);
  EXPECT_EQ(planner_.BoundOnPlanning(7), bob);
  EXPECT_EQ(planner_.BoundOnPlanning(1), std::nullopt);
  EXPECT_EQ(planner_.WhyWaits(3), Waits::kOthers) << "it may start; nothing forbids that";
}

TEST_F(Bounds, AJobCountsForItsUserAndForItsPartition) {
  Fill();
  std::uint32_t ann = Bound(2), bob = Bound(2), partition = Bound(3);
  for (JobNumber id = 1; id <= 3; ++id) Add(id, {ann, partition});
  for (JobNumber id = 4; id <= 6; ++id) Add(id, {bob, partition});
  Add(7, {bob});
  PassAt(0);
  EXPECT_EQ(Promised(), (std::vector<JobNumber>{1, 2, 4, 7}));
  EXPECT_EQ(planner_.BoundOnPlanning(5), bob) << "the first of its limits";
  EXPECT_EQ(planner_.LimitOf(partition).planned, 3);
}

TEST_F(Bounds, WhoIsBeyondHisBoundStartsWhereItFitsAndInItsTurn) {
  Fill();
  planner_.cluster().AddNode(Of(1));
  planner_.SetUsable(1, false);
  std::uint32_t ann = Bound(1);
  Add(1, {ann});
  Add(2, {ann});
  planner_.Add(Bounded(3, {ann}, 0, 1));
  EXPECT_TRUE(PassAt(0).empty());
  planner_.SetUsable(1, true);
  EXPECT_EQ(PassAt(1), std::vector<JobNumber>{3}) << "on the node that delays nobody";
  EXPECT_EQ(planner_.PromiseOf(1)->start, 100);
  planner_.Remove(kRunning);
  EXPECT_EQ(PassAt(50), std::vector<JobNumber>{1});
  EXPECT_EQ(Promised(), std::vector<JobNumber>{2}) << "his place is the next one's at once";
  planner_.Remove(1);
  EXPECT_EQ(PassAt(60), std::vector<JobNumber>{2});
}

TEST_F(Bounds, NobodyBeyondHisBoundDelaysAStartThatWasPromised) {
  Fill();
  planner_.cluster().AddNode(Of(1));
  std::uint32_t ann = Bound(1);
  Add(1, {ann});
  PlanJob both = JobOf(2, 100, Of(1), 2);  // promised at 200: on what 1 leaves, and the small node
  planner_.Add(both);
  PassAt(0);
  ASSERT_EQ(planner_.PromiseOf(2)->start, 200);
  PlanJob fits = Bounded(3, {ann}, 9, 1), longer = Bounded(4, {ann}, 9, 1);
  longer.facts.length = 201;
  planner_.Add(longer);
  planner_.Add(fits);
  EXPECT_EQ(PassAt(0), std::vector<JobNumber>{3});
  EXPECT_EQ(planner_.PromiseOf(1)->start, 100);
  EXPECT_EQ(planner_.PromiseOf(2)->start, 200);
}

TEST_F(Bounds, WhoHoldsAPromiseCountsFirstAndKeepsIt) {
  Fill();
  std::uint32_t ann = Bound(1);
  Add(1, {ann});
  PassAt(0);
  Add(2, {ann}, 9);  // comes before it, and is beyond the bound
  PassAt(1);
  EXPECT_EQ(Promised(), std::vector<JobNumber>{1});
  EXPECT_EQ(planner_.PromiseOf(1)->start, 100);
  planner_.Remove(1);
  PassAt(2);
  EXPECT_EQ(planner_.PromiseOf(2)->start, 100);
}

// The place is free only when the walk has come to the job that held it: behind the one that is to have it.
TEST_F(Bounds, WhatAStartLeavesIsForTheFirstInOrder) {
  Fill();
  std::uint32_t ann = Bound(1);
  Add(1, {ann});
  PassAt(0);
  Add(2, {ann}, 9);
  Add(3, {ann}, -9);
  PassAt(1);
  planner_.Advance(100);
  planner_.Remove(kRunning);
  EXPECT_EQ(PassAt(100), std::vector<JobNumber>{1});
  EXPECT_EQ(Promised(), std::vector<JobNumber>{2});
}

TEST_F(Bounds, WhatWasPromisedBeforeTheBoundIsKept) {
  planner_.cluster().AddNode(Of(4));
  std::uint32_t ann = Bound(1);
  for (JobNumber id = 1; id <= 3; ++id) Add(id, {ann});
  planner_.Reserve(0, Of(4), 0, 50);
  planner_.KeepPromise(1, 50, {{0, 0}});
  planner_.KeepPromise(2, 150, {{0, 0}});
  PassAt(0);
  EXPECT_EQ(Promised(), (std::vector<JobNumber>{1, 2}));
  planner_.Remove(1);
  PassAt(1);
  EXPECT_EQ(Promised(), std::vector<JobNumber>{2});
  EXPECT_EQ(planner_.LimitOf(ann).planned, 1);
}

TEST_F(Bounds, JobsThatStartTogetherCountOnceAndForAllOfThem) {
  Fill();
  std::uint32_t ann = Bound(2), partition = Bound(1);
  planner_.AddGang({Bounded(1, {ann}, 0, 2), Bounded(2, {ann, partition}, 0, 2)});
  Add(3, {ann});
  Add(4, {partition});
  PassAt(0);
  EXPECT_EQ(planner_.Promises().size(), 3U);
  EXPECT_TRUE(planner_.PromiseOf(1) && planner_.PromiseOf(2) && planner_.PromiseOf(3));
  EXPECT_EQ(planner_.BoundOnPlanning(4), partition);
  EXPECT_EQ(planner_.LimitOf(ann).planned, 2);
  planner_.AddGang({Bounded(5, {}, 0, 2), Bounded(6, {ann}, 0, 2)});
  PassAt(1);
  EXPECT_FALSE(planner_.PromiseOf(5)) << "one of them is beyond a bound";
  planner_.Remove(2);
  EXPECT_EQ(planner_.LimitOf(ann).planned, 1);
  EXPECT_EQ(planner_.LimitOf(partition).planned, 0);
  PassAt(2);
  EXPECT_TRUE(planner_.PromiseOf(4) && planner_.PromiseOf(5));
}

// He does not have to wait until the whole queue is looked at again, nor does the user beyond his bound make
// every pass a whole one.
TEST_F(Bounds, AQueueBeyondItsBoundIsLookedAtQuicklyAndANewUserIsPromisedAtOnce) {
  Fill();
  std::uint32_t ann = Bound(1), bob = Bound(1);
  for (JobNumber id = 1; id <= 5; ++id) Add(id, {ann});
  PassAt(0);
  std::uint64_t whole = planner_.statistics().passes;
  Add(6, {ann});
  EXPECT_TRUE(planner_.QuickPass().empty());
  EXPECT_EQ(planner_.statistics().passes, whole);
  Add(7, {bob});
  EXPECT_TRUE(planner_.QuickPass().empty());
  EXPECT_EQ(Promised(), (std::vector<JobNumber>{1, 7}));
  Add(8, {bob});
  whole = planner_.statistics().passes;
  EXPECT_TRUE(planner_.QuickPass().empty());
  EXPECT_EQ(planner_.statistics().passes, whole);
}

}  // namespace
}  // namespace slipway::plan
