// SPDX-License-Identifier: Apache-2.0
// What ran under a lease on a node that is silent is over once nobody can doubt it, and may start again.
#include "scheduler/core/lease.h"

#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint32_t kLease_s = 600;

JobId SubmitLeased(TestCluster& c, JobSpec spec, std::uint32_t lease_s = kLease_s) {
  c.Do(SubmitJob{{1}, std::move(spec), {}, lease_s});
  CHECK(c.answer.has_value());
  return std::get<JobAccepted>(*c.answer).job;
}
JobSpec Requeued(std::uint32_t tasks = 1) {
  JobSpec spec = SmallJob(tasks);
  spec.requeue = true;
  return spec;
}
void Silent(TestCluster& c, std::int64_t s, const std::string& node = "n1") { c.Do(NodeSilent{node, s}); }

TEST(Lease, ItIsTheNodesToKnow) {
  TestCluster c(1);
  JobId job = SubmitLeased(c, SmallJob());
  std::vector<NodeMessage> told = Outstanding(c.state(), "n1", c.now);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(std::get<LaunchStep>(told[0]).lease_s, kLease_s);
  EXPECT_EQ(c.state().LeaseOf(c.Of(job)), kLease_s);
  EXPECT_EQ(c.state().LeaseOf(c.Of(c.Submit(SmallJob()))), 0U);
}

TEST(Lease, AJobOfASilentNodeStartsElsewhereOnceItsLeaseAndItsEndHavePassed) {
  TestCluster c(2);
  JobId job = SubmitLeased(c, Requeued());
  c.Started(c.PrimaryOf(job), "n1");
  c.Lose("n1");
  EXPECT_EQ(ShortestLeaseWait(c.state(), "n1"), LeaseWait(kLease_s));
  EXPECT_FALSE(ShortestLeaseWait(c.state(), "n2")) << "it is not silent";
  Silent(c, LeaseWait(kLease_s) - 1);
  EXPECT_EQ(c.StateOf(job), "RUNNING") << "it may still be there";
  Silent(c, LeaseWait(kLease_s));
  EXPECT_EQ(c.StateOf(job), "STARTING");
  EXPECT_EQ(c.Of(job).attempt, 2U);
  EXPECT_EQ(c.Of(job).nodes[0].node, "n2");
  // The node is back, and has the report of the first attempt's end: nobody asks for it any more.
  c.Register("n1", "boot-1", {{job, 1, kBatchStep}});
  c.Ended({job, 1, kBatchStep}, "n1", 137, EndReason::kNodeFailed);
  EXPECT_EQ(c.StateOf(job), "STARTING");
  c.Finish(job);
  EXPECT_EQ(c.StateOf(job), "COMPLETED");
}

TEST(Lease, ANodeThatIsBackInTimeKeepsItsJobs) {
  TestCluster c(2);
  JobId job = SubmitLeased(c, Requeued());
  StepId step = c.PrimaryOf(job);
  c.Started(step, "n1");
  c.Lose("n1");
  c.Register("n1", "boot-1", {step});
  Silent(c, 10 * LeaseWait(kLease_s));
  EXPECT_EQ(c.StateOf(job), "RUNNING");
}

TEST(Lease, WithoutOneASilentNodesJobIsNotStartedAgain) {
  TestCluster c(2);
  JobId job = c.Submit(Requeued());
  c.Started(c.PrimaryOf(job), "n1");
  c.Lose("n1");
  EXPECT_FALSE(ShortestLeaseWait(c.state(), "n1"));
  Silent(c, 1'000'000);
  EXPECT_EQ(c.StateOf(job), "RUNNING");
}

TEST(Lease, WhoMayNotRunAgainEndsWithItsReason) {
  TestCluster c(1);
  JobId job = SubmitLeased(c, SmallJob());
  c.Lose("n1");
  Silent(c, LeaseWait(kLease_s));
  EXPECT_EQ(c.StateOf(job), "NODE_FAIL");
  EXPECT_EQ(c.Of(job).outcome->message, "LEASE: node n1 was silent for longer than the lease of 600 s");
}

TEST(Lease, OfSeveralNodesTheOthersAreClearedBeforeItStartsAgain) {
  TestCluster c(2);
  JobSpec spec = WideJob(2, 2);
  spec.requeue = true;
  JobId job = SubmitLeased(c, spec);
  c.Started(c.PrimaryOf(job), "n1");
  c.Lose("n1");
  Silent(c, LeaseWait(kLease_s));
  EXPECT_EQ(c.StateOf(job), "COMPLETING") << "n2 has not said that nothing is left there";
  c.ReleaseAll(job);
  EXPECT_EQ(c.StateOf(job), "PENDING");
}

TEST(Lease, ItOutlivesTheControllerAndIsForgottenWithTheJob) {
  TestCluster c(1);
  JobSpec array = SmallJob();
  array.array.emplace().indices = {1, 2};
  JobId tasks = SubmitLeased(c, array, 60);
  JobId job = SubmitLeased(c, SmallJob());
  State copy = *DecodeState(EncodeState(c.state()));
  EXPECT_EQ(EncodeState(copy), EncodeState(c.state()));
  EXPECT_EQ(copy.LeaseOf(*copy.FindJob({tasks.value + 1})), 60U) << "of each task";
  EXPECT_EQ(copy.LeaseOf(*copy.FindJob(job)), kLease_s);
  c.Restart();
  EXPECT_EQ(c.state().LeaseOf(c.Of(job)), kLease_s);
  Event event{c.now, JobLeased{job, kLease_s}};
  EXPECT_EQ(EncodeEvent(*DecodeEvent(EncodeEvent(event))), EncodeEvent(event));
  c.Register("n1");
  for (JobId id : {JobId{tasks.value + 1}, JobId{tasks.value + 2}, job}) c.Finish(id);
  c.Pass(25 * 3600);
  EXPECT_TRUE(c.state().leases.empty());
}

TEST(Lease, OneThatCouldNotBeRenewedIsRefused) {
  TestCluster c(1);
  for (std::uint32_t lease_s : {1U, 29U, 31U * 24 * 3600}) {
    c.Do(SubmitJob{{1}, SmallJob(), {}, lease_s});
    ASSERT_FALSE(c.answer) << lease_s;
    EXPECT_NE(c.answer.error().message.find("from 30 s to 30 days"), std::string::npos);
  }
  SubmitJob het{{1}, SmallJob(), {SmallJob()}, 60};
  c.Do(het);
  ASSERT_TRUE(c.answer);
  JobId leader = std::get<JobAccepted>(*c.answer).job;
  EXPECT_EQ(c.state().LeaseOf(c.Of({leader.value + 1})), 60U) << "of each component";
}

}  // namespace
}  // namespace slipway::scheduler
