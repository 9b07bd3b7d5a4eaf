// SPDX-License-Identifier: Apache-2.0
// What users and administrators get wrong, or overdo: a clear error or a defined behaviour for each. More of
// it stands where the subject is: dependencies and the clock in changes_test, contradictions and absurd sizes
// in placement_test, limits below what is in use in limits_test.
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

JobSpec JobOf(std::uint32_t uid, std::uint32_t tasks) {
  JobSpec spec = SmallJob(tasks);
  spec.user.uid = uid;
  spec.user.name = Cat("user", uid);
  spec.time_limit_s = 3600;
  return spec;
}

JobSpec ArrayOf(std::uint32_t uid, std::uint32_t tasks) {
  JobSpec spec = JobOf(uid, 1);
  spec.array.emplace();
  for (std::uint32_t i = 0; i < tasks; ++i) spec.array->indices.push_back(i);
  return spec;
}

Site OnePartition(std::vector<std::string> nodes) {
  Site site;
  Partition& batch = site.partitions.emplace_back();
  batch.name = "batch";
  batch.is_default = true;
  batch.nodes = {nodes.begin(), nodes.end()};
  return site;
}

TEST(BadInput, AnUnknownPartitionOrAccountIsNamedAndChangesNothing) {
  Site site = OnePartition({"n1"});
  site.usage.enforce = true;
  TestCluster c(1, 4, 8 << 20, site);
  c.Do(ChangeAccount{{1}, {0, true}, AccountSet{{"physics", "root", 1, "", {}}}});
  c.Do(ChangeAccount{{1}, {0, true}, AssociationSet{{"physics", 20001}, {.is_default = true}}});
  ASSERT_TRUE(c.answer) << c.answer.error().message;
  const std::string before = EncodeState(c.state());
  JobSpec partition = SmallJob(), account = SmallJob();
  partition.resources.partition = "bach";
  account.account = "phyics";
  for (const auto& [spec, names] : {std::pair(partition, "bach"), std::pair(account, "phyics")}) {
    Result<JobId> refused = c.TrySubmit(spec);
    ASSERT_FALSE(refused) << names;
    EXPECT_NE(refused.error().message.find(names), std::string::npos) << refused.error().message;
    EXPECT_EQ(refused.error().message.find('\n'), std::string::npos) << "one line";
  }
  EXPECT_EQ(EncodeState(c.state()), before);
  EXPECT_TRUE(c.TrySubmit(SmallJob()));
}

TEST(BadInput, AConfigThatRemovesANodeWithJobsOnItLetsThemEndAndStartsNoMoreThere) {
  TestCluster c(2, 4, 8 << 20, OnePartition({"n1", "n2"}));
  JobId stays = c.Submit(JobOf(1, 4)), removed = c.Submit(JobOf(1, 4));
  ASSERT_EQ(c.NodesOf(removed), "n2:4");
  JobId waits = c.Submit(JobOf(1, 4)), wide = c.Submit(WideJob(2, 2));
  c.SetSite(OnePartition({"n1"}));
  c.Restart();
  c.Register("n1", "boot-1", {c.PrimaryOf(stays)});
  c.Register("n2", "boot-1", {c.PrimaryOf(removed)});
  EXPECT_EQ(c.StateOf(removed), "STARTING") << "what runs there runs on";
  c.Finish(removed);
  EXPECT_EQ(c.StateOf(removed), "COMPLETED");
  EXPECT_EQ(c.StateOf(waits), "PENDING") << "n2 is free, and nobody's";
  c.Finish(stays);
  EXPECT_EQ(c.NodesOf(waits), "n1:4");
  EXPECT_EQ(c.StateOf(wide), "PENDING");
  EXPECT_NE(c.controller().ReasonOf(wide), PendingReason::kNone) << "and it is said why";
  EXPECT_FALSE(c.TrySubmit(WideJob(2, 2))) << "that can never be any more";
}

TEST(BadInput, AMillionJobsOfOneUserWaitAsRecordsAndOthersAreNotBehindThem) {
  Site site;
  site.weights.fair_share = 1000;
  TestCluster c(1, 4, 8 << 20, site);
  constexpr std::uint32_t kEach = 100'000, kArrays = 10;
  for (std::uint32_t i = 0; i < kArrays; ++i) c.Submit(ArrayOf(1, kEach));
  EXPECT_EQ(c.state().live_by_association.begin()->second, std::int64_t{kEach} * kArrays);
  EXPECT_LT(c.state().jobs.size(), 5'000U) << "the others are numbers in their arrays";
  c.Pass(500);
  JobId other = c.Submit(JobOf(2, 1));
  c.Pass(301);  // the next recalculation of who has used how much
  std::uint32_t ends = 0;
  for (; c.StateOf(other) == "PENDING" && ends < 10; ++ends) c.Finish(*c.state().active.begin());
  EXPECT_LE(ends, 2U) << "behind what was promised a start before it came, and behind no other";
}

TEST(BadInput, WhereASiteBoundsSubmissionsAMillionJobsOfOneUserAreRefusedAtThatBound) {
  Site site;
  Qos normal;
  normal.name = "normal";
  normal.limits.max_submit_per_user = 1000;
  site.qos.push_back(normal);
  TestCluster c(1, 4, 8 << 20, site);
  Result<JobId> all = c.TrySubmit(ArrayOf(1, 100'000));
  ASSERT_FALSE(all);
  EXPECT_NE(all.error().message.find("QOSMaxSubmitJobPerUserLimit"), std::string::npos)
      << all.error().message;
  EXPECT_TRUE(c.TrySubmit(ArrayOf(1, 1000)));
  EXPECT_FALSE(c.TrySubmit(JobOf(1, 1))) << "one more";
  EXPECT_TRUE(c.TrySubmit(JobOf(2, 1))) << "another user's";
}

}  // namespace
}  // namespace slipway::scheduler
