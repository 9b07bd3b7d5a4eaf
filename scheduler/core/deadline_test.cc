// SPDX-License-Identifier: Apache-2.0
// A deadline ends a job that waits too long, and nothing else.
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

JobSpec Until(const TestCluster& c, std::int64_t seconds, std::uint32_t limit_s = 60) {
  JobSpec spec = SmallJob(4);
  spec.time_limit_s = limit_s;
  spec.deadline = c.now.PlusSeconds(seconds);
  return spec;
}

TEST(Deadline, EndsAJobThatCannotEndByItAnyMore) {
  TestCluster c(1, 4);
  (void)c.Submit(SmallJob(4));
  JobId waits = c.Submit(Until(c, 100));
  c.Pass(39);
  EXPECT_EQ(c.StateOf(waits), "PENDING");
  c.Pass(2);
  EXPECT_EQ(c.StateOf(waits), "DEADLINE");
  EXPECT_NE(c.Of(waits).outcome->message.find("DeadLine"), std::string::npos);
}

TEST(Deadline, LeavesAJobAloneThatRuns) {
  TestCluster c(1, 4);
  JobId runs = c.Submit(Until(c, 61));
  c.Pass(30);
  EXPECT_EQ(c.StateOf(runs), "STARTING");
  c.Pass(31);
  EXPECT_EQ(c.Of(runs).outcome->state, JobState::kTimeout) << "its time limit is what ends it";
}

TEST(Deadline, MovesWithTheTimeLimitAndOutlivesARestart) {
  TestCluster c(1, 4);
  JobId first = c.Submit(SmallJob(4));
  JobId waits = c.Submit(Until(c, 100));
  c.Do(ChangeJob{{1}, waits, {20001, false}, {.time_limit_s = 10}});
  c.Restart();
  c.Register("n1", "boot-1", {c.PrimaryOf(first)});
  c.Pass(60);
  EXPECT_EQ(c.StateOf(waits), "PENDING") << "it could still end in time";
  c.Pass(31);
  EXPECT_EQ(c.StateOf(waits), "DEADLINE");
}

TEST(Deadline, ThatCannotBeMetIsRefusedWithWhatToChange) {
  TestCluster c(1, 4);
  auto told = [&](const JobSpec& spec) { return c.TrySubmit(spec).error().message; };
  EXPECT_EQ(
      told(Until(c, 59)),
      "DeadLine: a job with a limit of 60 s that is started now does not surely end by its deadline; ask "
      "for less time");
  EXPECT_EQ(told(Until(c, 100, 0)),
            "DeadLine: a job without a time limit does not surely end by its deadline; give one with --time");
  EXPECT_EQ(told(Until(c, -1)), "DeadLine: the deadline is over already; give a later one");
  EXPECT_TRUE(c.TrySubmit(Until(c, 60)).has_value());
}

}  // namespace
}  // namespace slipway::scheduler
