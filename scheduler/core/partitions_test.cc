// SPDX-License-Identifier: Apache-2.0
// Jobs that may be in several partitions, partitions with a QOS, and jobs that take less time to start
// sooner.
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

Site TwoPartitions() {
  Site site;
  site.partitions = {{.name = "a", .nodes = {"n1"}, .is_default = true, .max_time_s = 3600},
                     {.name = "b", .nodes = {"n2"}, .max_time_s = 7200}};
  return site;
}

JobSpec In(const std::string& partitions, std::uint32_t tasks = 4, std::uint32_t limit_s = 600) {
  JobSpec spec = SmallJob(tasks);
  spec.resources.partition = partitions;
  spec.time_limit_s = limit_s;
  return spec;
}

TEST(SeveralPartitions, AJobStartsInTheFirstThatHasRoomAndIsInThatOneThen) {
  TestCluster c(2, 4, 8 << 20, TwoPartitions());
  JobId first = c.Submit(In("a,b")), second = c.Submit(In("a,b")), third = c.Submit(In("a,b", 4, 60));
  EXPECT_EQ(c.NodesOf(first), "n1:4");
  EXPECT_EQ(c.Of(first).partition, "a");
  EXPECT_EQ(c.NodesOf(second), "n2:4");
  EXPECT_EQ(c.Of(second).partition, "b");
  EXPECT_EQ(c.StateOf(third), "PENDING");
  c.Finish(second);
  EXPECT_EQ(c.Of(third).partition, "b") << "where it can start first";
  c.Restart();
  EXPECT_EQ(c.Of(third).partition, "b");
}

TEST(SeveralPartitions, TheStartIsPlannedWhereItIsEarliest) {
  TestCluster c(2, 4, 8 << 20, TwoPartitions());
  (void)c.Submit(In("a", 4, 3000));
  (void)c.Submit(In("b", 4, 300));
  JobId waits = c.Submit(In("a,b"));
  auto planned = c.controller().PlannedStartOf(waits);
  ASSERT_TRUE(planned.has_value());
  EXPECT_EQ(planned->nodes.front().node, "n2");
}

TEST(SeveralPartitions, ThoseThatWouldNotHaveTheJobDropOutAndWithoutAnyItIsRefused) {
  TestCluster c(2, 4, 8 << 20, TwoPartitions());
  JobId longer = c.Submit(In("a,b", 4, 7000));
  EXPECT_EQ(c.Of(longer).spec->resources.partition, "b") << "a allows an hour";
  Result<JobId> refused = c.TrySubmit(In("a,b", 4, 9000));
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(refused.error().message.starts_with("PartitionTimeLimit:")) << refused.error().message;
  EXPECT_FALSE(c.TrySubmit(In("a,nosuch")).has_value());
  EXPECT_FALSE(c.TrySubmit(In("a,,b")).has_value()) << "an empty name";
}

TEST(SeveralPartitions, ALimitThatIsRaisedLaterLeavesThoseThatStillAllowIt) {
  TestCluster c(2, 4, 8 << 20, TwoPartitions());
  (void)c.Submit(In("a"));
  JobId blocks = c.Submit(In("b"));
  JobId waits = c.Submit(In("a,b"));
  c.Do(ChangeJob{{1}, waits, {0, true}, {.time_limit_s = 7000}});
  c.Finish(blocks);
  EXPECT_EQ(c.Of(waits).partition, "b");
}

TEST(PartitionQos, ItsLimitsHoldForJobsOfAnyQos) {
  Site site = TwoPartitions();
  site.qos = {
      {.name = "normal"},
      {.name = "narrow", .limits = {.grp_jobs = 1, .max_submit_per_user = 2, .max_per_job = {.cores = 2}}}};
  site.partitions[0].qos = "narrow";
  TestCluster c(2, 4, 8 << 20, site);
  Result<JobId> wide = c.TrySubmit(In("a", 3));
  ASSERT_FALSE(wide.has_value());
  EXPECT_TRUE(wide.error().message.starts_with("QOSMaxCpuPerJobLimit:")) << wide.error().message;
  JobId one = c.Submit(In("a", 1)), two = c.Submit(In("a", 1));
  EXPECT_EQ(c.StateOf(one), "STARTING");
  EXPECT_EQ(c.StateOf(two), "PENDING");
  EXPECT_TRUE(c.controller().ReasonText(two).starts_with("QOSGrpJobsLimit:"))
      << c.controller().ReasonText(two);
  Result<JobId> third = c.TrySubmit(In("a", 1));
  ASSERT_FALSE(third.has_value());
  EXPECT_TRUE(third.error().message.starts_with("QOSMaxSubmitJobPerUserLimit:")) << third.error().message;
  EXPECT_EQ(c.StateOf(c.Submit(In("b", 4))), "STARTING") << "the other partition has no such QOS";
  c.Restart();
  EXPECT_FALSE(c.TrySubmit(In("a", 1)).has_value()) << "counted after a restart, too";
}

TEST(PartitionQos, AJobOfSeveralPartitionsCountsInTheOneItRunsIn) {
  Site site = TwoPartitions();
  site.qos = {{.name = "narrow", .limits = {.grp_jobs = 1}}};
  site.partitions[0].qos = "narrow";
  TestCluster c(2, 4, 8 << 20, site);
  JobId blocks = c.Submit(In("a", 4));
  (void)c.Submit(In("b", 4));
  c.Finish(blocks);
  JobId runs_in_a = c.Submit(In("a,b", 2));
  EXPECT_EQ(c.Of(runs_in_a).partition, "a");
  EXPECT_EQ(c.StateOf(c.Submit(In("a", 2))), "PENDING");
}

TEST(MinTres, AnAccountHasALeastSizeForItsUsersJobs) {
  TestCluster c(2);
  Account account{"big", kRootAccount, 1, "", {}};
  account.limits.min_per_job.cores = 2;
  c.Do(ChangeAccount{{1}, {0, true}, AccountSet{account}});
  c.Do(ChangeAccount{{1}, {0, true}, AssociationSet{{"big", 20001}, {.user = "alice"}}});
  JobSpec spec = SmallJob(1);
  spec.account = "big";
  Result<JobId> small = c.TrySubmit(spec);
  ASSERT_FALSE(small.has_value());
  EXPECT_TRUE(small.error().message.starts_with("AssocMinCpuNotSatisfied:")) << small.error().message;
  spec.resources.tasks = 2;
  EXPECT_TRUE(c.TrySubmit(spec).has_value());
}

TEST(TimeMin, AJobIsStartedWithLessTimeWhereThatStartsItNow) {
  TestCluster c(1);
  (void)c.Submit(In("", 2, 1000));
  JobSpec wide = In("", 4, 1000);
  wide.priority = 1;
  JobId planned = c.Submit(wide);
  JobSpec fills = In("", 2, 5000);
  JobId full = c.Submit(fills);
  EXPECT_EQ(c.StateOf(full), "PENDING");
  fills.time_min_s = 300;
  JobId less = c.Submit(fills);
  EXPECT_EQ(c.StateOf(less), "STARTING");
  EXPECT_EQ(c.Of(less).time_limit_s, 999U) << "until the planned job's start, and a second that was halved";
  EXPECT_EQ(c.Of(less).limit_asked_s, 5000U);
  c.Restart();
  EXPECT_EQ(c.StateOf(planned), "PENDING");
  c.Pass(1000);
  EXPECT_EQ(c.StateOf(less), "COMPLETING") << "it has to keep to what it was given";
}

TEST(TimeMin, AJobThatIsRequeuedHasItsWholeTimeAgain) {
  TestCluster c(1);
  (void)c.Submit(In("", 2, 1000));
  JobSpec wide = In("", 4, 1000);
  wide.priority = 1;
  (void)c.Submit(wide);
  JobSpec fills = In("", 2, 5000);
  fills.time_min_s = 300;
  JobId less = c.Submit(fills);
  ASSERT_LT(c.Of(less).time_limit_s, 5000U);
  c.Do(ChangeJob{{1}, less, {20001, false}, {.requeue = true}});
  c.ReleaseAll(less);
  EXPECT_EQ(c.Of(less).limit_asked_s > 0 ? c.Of(less).limit_asked_s : c.Of(less).time_limit_s, 5000U);
}

TEST(TimeMin, MoreThanTheLimitIsRefused) {
  TestCluster c(1);
  JobSpec spec = In("", 1, 60);
  spec.time_min_s = 61;
  EXPECT_FALSE(c.TrySubmit(spec).has_value());
}

}  // namespace
}  // namespace slipway::scheduler
