// SPDX-License-Identifier: Apache-2.0
// Who overtakes whom: around jobs that are planned, around reservations, and never over a promise.
#include <gtest/gtest.h>

#include "scheduler/plan/test_jobs.h"

namespace slipway::plan {
namespace {

TEST(Backfill, NeverDelaysTheReservedJob) {
  Planner planner(MakePolicy("easy"));
  planner.cluster().AddNode(Of(4));
  planner.Add(JobOf(1, 100, Of(3)));
  EXPECT_EQ(Started(planner.Pass()), std::vector<JobNumber>{1});
  planner.Add(JobOf(2, 50, Of(4)));   // waits for 1
  planner.Add(JobOf(3, 101, Of(1)));  // would run into it
  planner.Add(JobOf(4, 100, Of(1)));  // is gone by then
  EXPECT_EQ(Started(planner.Pass()), std::vector<JobNumber>{4});
  EXPECT_EQ(planner.PromiseOf(2)->start, 100);
  planner.Advance(100);
  planner.Remove(1);
  planner.Remove(4);
  EXPECT_EQ(Started(planner.Pass()), std::vector<JobNumber>{2});
}

TEST(Backfill, UsesWhatTheReservedJobLeaves) {
  Planner planner(MakePolicy("easy"));
  planner.cluster().AddNode(Of(4));
  planner.Add(JobOf(1, 100, Of(3)));
  planner.Pass();
  planner.Add(JobOf(2, 50, Of(3)));
  planner.Add(JobOf(3, 1000, Of(1)));  // beside 2
  EXPECT_EQ(Started(planner.Pass()), std::vector<JobNumber>{3});
}

TEST(Backfill, PlanningHoldsTheNodesThatBecomeFreeLast) {
  Planner planner(MakePolicy("easy"));
  for (int i = 0; i < 3; ++i) planner.cluster().AddNode(Of(1));
  planner.Add(JobOf(1, 10, Of(1)));
  planner.Add(JobOf(2, 20, Of(1)));
  planner.Pass();
  planner.Add(JobOf(3, 5, Of(1), 2));
  planner.Pass();
  ASSERT_TRUE(planner.PromiseOf(3));
  EXPECT_EQ(planner.PromiseOf(3)->start, 10);
  EXPECT_EQ(*planner.PromiseOf(3)->nodes, (Placement{{0, 0}, {2, 0}}));  // not node 1, which is busy until 20
}

// flux-sched #1210: a depth that counts what cannot be planned starves what runs behind it.
TEST(Backfill, JobsThatCannotBePlannedDoNotUseUpReservations) {
  Planner planner(MakePolicy("easy"));
  planner.cluster().AddNode(Of(4));
  planner.cluster().AddNode(Of(2));
  planner.SetUsable(0, false);
  planner.Add(JobOf(1, 10, Of(4)));  // waits for the node that is away
  planner.Add(JobOf(2, 10, Of(2)));
  EXPECT_EQ(Started(planner.Pass()), std::vector<JobNumber>{2});
  planner.Add(JobOf(3, 10, Of(2)));
  planner.Pass();
  EXPECT_FALSE(planner.PromiseOf(1));
  EXPECT_EQ(planner.PromiseOf(3)->start, 10);
  planner.SetUsable(0, true);
  EXPECT_EQ(Started(planner.Pass()), std::vector<JobNumber>{1});
}

TEST(Backfill, APromiseIsKeptWhenAJobOfHigherPriorityComes) {
  Planner planner(MakePolicy("multifactor"));
  planner.cluster().AddNode(Of(4));
  planner.Add(JobOf(1, 100, Of(4)));
  planner.Pass();
  planner.Add(JobOf(2, 100, Of(4), 1, 5));
  planner.Pass();
  planner.Add(JobOf(3, 100, Of(4), 1, 9));
  planner.Pass();
  EXPECT_EQ(planner.PromiseOf(2)->start, 100);
  EXPECT_EQ(planner.PromiseOf(3)->start, 200);
}

TEST(Backfill, AJobThatOverrunsItsLimitMovesWhatWasPlannedBehindIt) {
  Planner planner(MakePolicy("easy"));
  planner.cluster().AddNode(Of(4));
  planner.Add(JobOf(1, 100, Of(4)));
  planner.Pass();
  planner.Add(JobOf(2, 10, Of(4)));
  planner.Pass();
  planner.Advance(100);
  EXPECT_EQ(planner.ExtendOverdue(30), 1U);
  EXPECT_TRUE(planner.Pass().empty());
  EXPECT_EQ(planner.PromiseOf(2)->start, 130);
  planner.Advance(110);
  planner.Remove(1);
  EXPECT_EQ(Started(planner.Pass()), std::vector<JobNumber>{2});
}

TEST(Reservation, NothingRunsIntoAMaintenanceWindow) {
  Planner planner(MakePolicy("easy"));
  planner.cluster().AddNode(Of(4));
  planner.Reserve(0, Of(4), 100, 200);
  planner.Add(JobOf(1, 101, Of(1)));
  planner.Add(JobOf(2, 100, Of(1)));
  EXPECT_EQ(Started(planner.Pass()), std::vector<JobNumber>{2});
  EXPECT_EQ(planner.PromiseOf(1)->start, 200);
  planner.Unreserve(0, Of(4), 100, 200);
  EXPECT_EQ(Started(planner.Pass()), std::vector<JobNumber>{1});
}

TEST(Reservation, APromiseThatIsKeptMovesToWhatHasBecomeFreeSince) {
  Planner planner(MakePolicy("easy"));
  planner.cluster().AddNode(Of(4));
  planner.Add(JobOf(1, 10, Of(4)));
  planner.KeepPromise(1, 100, {{0, 0}});
  ASSERT_EQ(planner.PromiseOf(1)->start, 100);
  EXPECT_EQ(Started(planner.Pass()), std::vector<JobNumber>{1});
}

TEST(Reservation, APromiseThatIsDueIsKeptWhenAllIsMadeAnew) {
  Planner planner(MakePolicy("multifactor"));
  planner.cluster().AddNode(Of(4));
  planner.Advance(100);
  planner.Add(JobOf(1, 10, Of(4), 1, 0));
  planner.Add(JobOf(2, 10, Of(4), 1, 1000));
  planner.KeepPromise(1, 100, {{0, 0}});
  EXPECT_EQ(Started(planner.Pass()), std::vector<JobNumber>{1}) << "whoever comes before it";
}

}  // namespace
}  // namespace slipway::plan
