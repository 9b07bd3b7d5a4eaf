// SPDX-License-Identifier: Apache-2.0
// Each factor decides when it is given weight, and `why` shows its arithmetic.
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

JobSpec JobOf(std::uint32_t uid, std::uint32_t tasks = 4) {
  JobSpec spec = SmallJob(tasks);
  spec.user.uid = uid;
  spec.user.name = Cat("user", uid);
  spec.time_limit_s = 600;
  return spec;
}

// One node, kept busy; the order in which what waits is started. The node is drained meanwhile: so nothing is
// planned, which would keep its place whatever comes.
struct Queue {
  TestCluster c;
  JobId running;
  explicit Queue(Site site) : c(1, 4, 8 << 20, std::move(site)) {
    running = c.Submit(JobOf(1));
    c.Do(ChangeNode{{1}, "n1", NodeChange::kDrain, "test"});
  }
  void Resume() { c.Do(ChangeNode{{1}, "n1", NodeChange::kResume, ""}); }
  std::vector<JobId> Order(std::size_t jobs) {
    std::vector<JobId> order;
    Resume();
    while (order.size() < jobs) {
      c.Finish(running);
      CHECK(c.state().active.size() == 1);
      order.push_back(running = *c.state().active.begin());
    }
    return order;
  }
};

TEST(Priority, WithoutWeightsItIsTheAdministratorsNumberLessNiceThenSubmission) {
  Queue q({});
  JobSpec nice = JobOf(2), asked = JobOf(2);
  nice.nice = 5;
  asked.priority = 3;
  JobId a = q.c.Submit(nice), b = q.c.Submit(JobOf(2)), c = q.c.Submit(JobOf(2)), d = q.c.Submit(asked);
  EXPECT_EQ(q.c.controller().Explain(a).priority, "-5 = 0 asked for - 5 nice");
  EXPECT_EQ(q.c.controller().Explain(a).ahead, 3U);
  EXPECT_EQ(q.Order(4), (std::vector<JobId>{d, b, c, a}));
}

TEST(Priority, WhoUsedLessComesFirstAndTheOtherLater) {
  Site site;
  site.weights.fair_share = 1000;
  Queue q(site);
  q.c.now = q.c.now.PlusSeconds(500);
  JobId heavy = q.c.Submit(JobOf(1)), light = q.c.Submit(JobOf(2));
  q.c.Pass(301);  // the next recalculation
  EXPECT_EQ(q.c.controller().Explain(light).priority,
            "1000 = 0 asked for + 1000 fair share (of 1000) - 0 nice");
  EXPECT_EQ(q.c.controller().Explain(heavy).ahead, 1U);
  EXPECT_EQ(q.Order(2), (std::vector<JobId>{light, heavy}));
}

TEST(Priority, AgeGrowsUntilItIsFullAndThenOthersCatchUp) {
  Site site;
  site.weights.age = 100;
  site.weights.age_max_s = 1000;
  Queue q(site);
  JobId old = q.c.Submit(JobOf(2));
  q.c.Pass(500);
  EXPECT_EQ(q.c.controller().Explain(old).priority, "50 = 0 asked for + 50 age (of 100) - 0 nice");
  JobSpec better = JobOf(3);
  better.priority = 60;
  JobId late = q.c.Submit(better);
  EXPECT_EQ(q.c.controller().Explain(late).ahead, 0U) << "60 against 50";
  q.c.Pass(300);  // 80 against 90
  EXPECT_EQ(q.c.controller().Explain(late).ahead, 0U);
  JobId same = q.c.Submit(JobOf(2));
  q.c.Pass(2000);  // both are old now: 100 against 160 and 100
  EXPECT_EQ(q.c.controller().Explain(old).priority, "100 = 0 asked for + 100 age (of 100) - 0 nice");
  EXPECT_EQ(q.Order(3), (std::vector<JobId>{late, old, same}));
}

TEST(Priority, AnOldJobIsOvertakenByAYoungerOneOnlyWhenThatHasMore) {
  Site site;
  site.weights.age = 100;
  site.weights.age_max_s = 100;
  Queue q(site);
  JobId old = q.c.Submit(JobOf(2));
  q.c.Pass(1000);
  JobSpec spec = JobOf(2);
  spec.priority = 50;
  JobId young = q.c.Submit(spec);
  EXPECT_EQ(q.c.controller().Explain(young).ahead, 1U) << "50 against 100";
  q.c.Pass(51);
  EXPECT_EQ(q.c.controller().Explain(young).ahead, 0U) << "101 against 100";
  EXPECT_EQ(q.c.controller().Explain(old).ahead, 1U);
}

TEST(Priority, WhoComesLaterForTheFirstTimeDoesNotPassWhoHasWaitedLonger) {
  Site site;
  site.weights.age = 1000;
  site.weights.age_max_s = 100'000;
  Queue q(site);
  q.c.Pass(1000);
  JobId waited = q.c.Submit(JobOf(1));
  q.c.Pass(1000);
  JobId came = q.c.Submit(JobOf(2));
  EXPECT_EQ(q.c.controller().Explain(came).ahead, 1U);
  EXPECT_EQ(q.Order(2), (std::vector<JobId>{waited, came}));
}

TEST(Priority, SizePartitionQosAndTresCountWhatTheSiteSays) {
  Site site;
  site.weights.size = 100;
  site.weights.partition = 10;
  site.weights.qos = 1000;
  site.weights.tres = {{"cpu", 40}};
  site.partitions = {{.name = "main", .all_nodes = true, .is_default = true, .priority = 5},
                     {.name = "best", .all_nodes = true, .priority = 10}};
  site.qos = {{.name = "normal", .priority = 0}, {.name = "high", .priority = 7}};
  Queue q(site);
  JobSpec spec = JobOf(2, 2);
  EXPECT_EQ(q.c.controller().Explain(q.c.Submit(spec)).priority,
            "75 = 0 asked for + 50 size (of 100) + 5 partition (of 10) + 0 QOS (of 1000) + 20 TRES (of 40) - "
            "0 nice");
  spec.resources.partition = "best";
  spec.qos = "high";
  EXPECT_EQ(q.c.controller().Explain(q.c.Submit(spec)).priority,
            "1080 = 0 asked for + 50 size (of 100) + 10 partition (of 10) + 1000 QOS (of 1000) + 20 TRES (of "
            "40) - 0 nice");
}

TEST(Priority, AHigherTierComesBeforeEveryPriority) {
  Site site;
  site.partitions = {{.name = "main", .all_nodes = true, .is_default = true},
                     {.name = "urgent", .all_nodes = true, .tier = 2}};
  Queue q(site);
  JobSpec high = JobOf(2), urgent = JobOf(3);
  high.priority = 1'000'000;
  urgent.resources.partition = "urgent";
  JobId a = q.c.Submit(high), b = q.c.Submit(urgent);
  EXPECT_EQ(q.Order(2), (std::vector<JobId>{b, a}));
}

TEST(Priority, APlannedStartIsKeptWhenOthersComeToStandInFront) {
  Site site;
  site.weights.fair_share = 1000;
  Queue q(site);
  q.Resume();
  q.c.now = q.c.now.PlusSeconds(300);
  JobId planned = q.c.Submit(JobOf(1));
  auto promise = q.c.controller().PlannedStartOf(planned);
  ASSERT_TRUE(promise);
  JobId better = q.c.Submit(JobOf(2));
  q.c.Pass(301);
  EXPECT_EQ(q.c.controller().Explain(better).ahead, 0U);
  ASSERT_TRUE(q.c.controller().PlannedStartOf(planned));
  EXPECT_LE(q.c.controller().PlannedStartOf(planned)->at, promise->at);
}

}  // namespace
}  // namespace slipway::scheduler
