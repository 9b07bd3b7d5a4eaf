// SPDX-License-Identifier: Apache-2.0
// What a user is told who asks why.
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

bool Says(const std::vector<std::string>& lines, const std::string& words) {
  return std::ranges::any_of(lines,
                             [&](const std::string& line) { return line.find(words) != std::string::npos; });
}

TEST(Why, SaysAllReasonsAtOnceWhoIsAheadAndWhen) {
  TestCluster c(2, 4);
  JobSpec spec = WideJob(2, 8);
  spec.time_limit_s = 600;
  JobId running = c.Submit(spec), next = c.Submit(spec), last = c.Submit(spec);
  Explanation first = c.controller().Explain(next);
  ASSERT_TRUE(first.planned);
  EXPECT_EQ(first.planned->nodes, (std::vector<PlannedNode>{{"n1", 0}, {"n2", 0}}));
  EXPECT_GE(first.planned->at, c.Of(running).started.PlusSeconds(600));
  EXPECT_EQ(first.ahead, 0U);
  EXPECT_TRUE(Says(first.reasons, "needs 2 nodes")) << first.reasons[0];
  Explanation second = c.controller().Explain(last);
  EXPECT_EQ(second.ahead, 1U);
  EXPECT_EQ(second.first_ahead, std::vector<JobId>{next});
  EXPECT_FALSE(second.planned);
  ASSERT_TRUE(second.not_before);
  EXPECT_GT(*second.not_before, first.planned->at);
  spec.dependencies.push_back({DependencyKind::kAfterOk, running, 0});
  spec.hold = true;
  Explanation held = c.controller().Explain(c.Submit(spec));
  EXPECT_TRUE(Says(held.reasons, "held"));
  EXPECT_TRUE(Says(held.reasons, Cat("waits for job ", running.value, " (afterok), which is STARTING")));
  EXPECT_TRUE(Says(held.reasons, "2 jobs are ahead"));
}

TEST(Why, SaysWhatChangeOfTheRequestWouldFitNow) {
  TestCluster c(2, 4);
  JobSpec spec = SmallJob(4);
  spec.time_limit_s = 3600;
  (void)c.Submit(spec);
  JobSpec wide = WideJob(2, 0);
  wide.time_limit_s = 3600;
  JobId planned = c.Submit(wide);  // on both nodes, in an hour
  ASSERT_TRUE(c.controller().PlannedStartOf(planned));
  JobSpec longer = SmallJob(4);
  longer.time_limit_s = 2 * 3600;
  std::vector<EarlierStart> earlier = c.controller().Explain(c.Submit(longer)).earlier;
  ASSERT_FALSE(earlier.empty());
  EXPECT_EQ(earlier.front(), (EarlierStart{"with a time limit of 60 minutes", c.now, true}));
  earlier = c.controller().Explain(planned).earlier;
  ASSERT_FALSE(earlier.empty());
  EXPECT_EQ(earlier.front(), (EarlierStart{"with 1 node instead of 2", c.now, true}));
}

TEST(Why, NothingIsSaidOfAJobThatDoesNotWait) {
  TestCluster c(1);
  EXPECT_TRUE(c.controller().Explain(c.Submit(SmallJob())).reasons.empty());
  EXPECT_TRUE(c.controller().Explain({99}).reasons.empty());
}

}  // namespace
}  // namespace slipway::scheduler
