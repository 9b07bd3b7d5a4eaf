// SPDX-License-Identifier: Apache-2.0
// What a site bounds of the starts that are promised to one user's jobs, and to one partition's.
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

Site BoundedSite(std::uint32_t per_user, std::uint32_t per_partition) {
  Site site;
  site.partitions = {{.name = "all", .all_nodes = true, .is_default = true},
                     {.name = "some", .all_nodes = true}};
  site.plan.reservations = 10;
  site.plan.reservations_per_user = per_user;
  site.plan.reservations_per_partition = per_partition;
  return site;
}

JobSpec JobOf(std::uint32_t uid, const std::string& partition = "all", std::uint32_t tasks = 4) {
  JobSpec spec = SmallJob(tasks);
  spec.user.uid = uid;
  spec.user.name = Cat("user", uid);
  spec.resources.partition = partition;
  spec.time_limit_s = 3600;
  return spec;
}

bool IsPlanned(TestCluster& c, JobId job) { return c.controller().PlannedStartOf(job).has_value(); }

bool Says(const std::vector<std::string>& lines, const std::string& words) {
  return std::ranges::any_of(lines,
                             [&](const std::string& line) { return line.find(words) != std::string::npos; });
}

TEST(PlanningBounds, AUsersJobsArePromisedSoManyStartsAndWhyNamesTheBound) {
  TestCluster c(1, 4, 8 << 20, BoundedSite(2, 0));
  JobId running = c.Submit(JobOf(1));
  JobId first = c.Submit(JobOf(1)), second = c.Submit(JobOf(1, "some")), third = c.Submit(JobOf(1));
  JobId other = c.Submit(JobOf(2));
  EXPECT_TRUE(IsPlanned(c, first) && IsPlanned(c, second) && IsPlanned(c, other));
  EXPECT_FALSE(IsPlanned(c, third));
  EXPECT_TRUE(Says(c.controller().Explain(third).reasons,
                   "bf_max_job_user: 2 of the user's jobs are planned already, and "
                   "scheduler.reservations_per_user is 2"));
  EXPECT_FALSE(Says(c.controller().Explain(first).reasons, "bf_max_job"));
  c.Finish(running);
  EXPECT_EQ(c.StateOf(first), "STARTING");
  EXPECT_TRUE(IsPlanned(c, third)) << "in the place of the one that has started";
  EXPECT_FALSE(Says(c.controller().Explain(third).reasons, "bf_max_job"));
}

TEST(PlanningBounds, APartitionsJobsArePromisedSoManyStartsAndAJobOfSeveralCountsInAll) {
  TestCluster c(1, 4, 8 << 20, BoundedSite(0, 1));
  (void)c.Submit(JobOf(1));
  JobId both = c.Submit(JobOf(1, "all,some"));
  JobId all = c.Submit(JobOf(2, "all")), some = c.Submit(JobOf(3, "some"));
  EXPECT_TRUE(IsPlanned(c, both));
  EXPECT_FALSE(IsPlanned(c, all) || IsPlanned(c, some));
  EXPECT_TRUE(Says(c.controller().Explain(some).reasons,
                   "bf_max_job_part: 1 of the jobs in partition some is planned already"));
  c.Do(CancelJob{{1}, both, {20001, true}});
  EXPECT_TRUE(IsPlanned(c, all) && IsPlanned(c, some));
}

TEST(PlanningBounds, WhoIsBeyondTheBoundStartsWhereItFitsAndDelaysNobody) {
  TestCluster c(2, 4, 8 << 20, BoundedSite(1, 0));
  JobId small = c.Submit(JobOf(1, "all", 2)), full = c.Submit(JobOf(1));
  JobSpec wide = WideJob(2, 8);
  wide.time_limit_s = 3600;
  wide.user.uid = 1;
  JobId planned = c.Submit(wide), beyond = c.Submit(wide);
  std::optional<PlannedStart> promised = c.controller().PlannedStartOf(planned);
  ASSERT_TRUE(promised);
  EXPECT_FALSE(IsPlanned(c, beyond));
  c.Pass(60);
  JobSpec longer = JobOf(1, "all", 2), shorter = longer;
  longer.time_limit_s = 2 * 3600;
  shorter.time_limit_s = 1800;
  JobId waits = c.Submit(longer), fits = c.Submit(shorter);
  EXPECT_EQ(c.StateOf(fits), "STARTING");
  EXPECT_EQ(c.StateOf(waits), "PENDING") << "it would run into a start that was promised";
  EXPECT_EQ(c.controller().PlannedStartOf(planned), promised);
  for (JobId one : {small, full, fits}) c.Finish(one);
  EXPECT_EQ(c.StateOf(planned), "STARTING");
}

// The promises are kept whatever the new settings say, and no more are given until they are used up.
TEST(PlanningBounds, WhatWasPromisedOutlivesARestart) {
  TestCluster c(1, 4, 8 << 20, BoundedSite(2, 0));
  (void)c.Submit(JobOf(1));
  JobId first = c.Submit(JobOf(1)), second = c.Submit(JobOf(1)), third = c.Submit(JobOf(1));
  std::optional<PlannedStart> promised = c.controller().PlannedStartOf(second);
  ASSERT_TRUE(promised);
  c.Restart();
  c.Register("n1");
  EXPECT_TRUE(IsPlanned(c, first));
  EXPECT_EQ(c.controller().PlannedStartOf(second), promised);
  EXPECT_FALSE(IsPlanned(c, third));
}

}  // namespace
}  // namespace slipway::scheduler
