// SPDX-License-Identifier: Apache-2.0
// Behind a long queue only what changed is looked at, and all of it only so often: what waits for the whole
// pass, and what does not.
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

// Any queue is a long one.
Site AlwaysLong() {
  Site site;
  site.plan.whole_queue_jobs = 0;
  site.plan.whole_queue_every_s = 10;
  return site;
}

JobSpec JobOf(std::uint32_t tasks, std::uint32_t limit_s) {
  JobSpec spec = SmallJob(tasks);
  spec.time_limit_s = limit_s;
  return spec;
}

TEST(LongQueue, WhoComesAndWhatIsFreedAreLookedAtAtOnce) {
  TestCluster c(2, 4, 8 << 20, AlwaysLong());
  JobId runs = c.Submit(JobOf(4, 100)), short_one = c.Submit(JobOf(3, 50));
  JobId first = c.Submit(WideJob(2, 8));
  EXPECT_EQ(c.StateOf(first), "PENDING");
  JobId late = c.Submit(JobOf(1, 20));
  EXPECT_EQ(c.StateOf(late), "STARTING") << "it is over before the promised start";
  JobId waits = c.Submit(JobOf(3, 20));
  EXPECT_EQ(c.StateOf(waits), "PENDING");
  c.Finish(short_one);
  EXPECT_EQ(c.StateOf(waits), "STARTING");
  c.Finish(waits);
  c.Finish(late);
  c.Finish(runs);
  EXPECT_EQ(c.StateOf(first), "STARTING") << "earlier than promised";
}

TEST(LongQueue, ADisturbanceLastsUntilThePassThatMayMoveAPromise) {  // chaos --quick, seed 401
  TestCluster c(1, 4, 8 << 20, AlwaysLong());
  JobId runs = c.Submit(JobOf(4, 100));
  c.Started(c.PrimaryOf(runs), "n1");
  JobId waits = c.Submit(JobOf(4, 100));
  c.Pass(10);
  std::optional<PlannedStart> promised = c.controller().PlannedStartOf(waits);
  ASSERT_TRUE(promised.has_value());
  c.Do(SuspendJob{{1}, runs, {0, true}, true});
  ASSERT_EQ(c.controller().PlannedStartOf(waits), promised) << "this pass looks at nothing that is promised";
  std::uint64_t then = c.controller().policy().disturbances();
  c.Pass(10);
  std::optional<PlannedStart> moved = c.controller().PlannedStartOf(waits);
  EXPECT_TRUE(!moved || moved->at > promised->at);
  EXPECT_GT(c.controller().policy().disturbances(), then);
}

}  // namespace
}  // namespace slipway::scheduler
