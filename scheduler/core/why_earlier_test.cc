// SPDX-License-Identifier: Apache-2.0
// Which change of its request starts a job earlier: on clusters so small that every start can be told by
// hand. A job of 600 s leaves its node after 660 (the grace is 60 s), one of 3600 s after 3660.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {

void PrintTo(const EarlierStart& earlier, std::ostream* out) {
  *out << earlier.change << " at " << earlier.start.us / 1'000'000 << (earlier.now ? " (now)" : "");
}

namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

JobSpec Lasting(std::uint32_t seconds, JobSpec spec) {
  spec.time_limit_s = seconds;
  return spec;
}
JobSpec On(const std::string& nodes, JobSpec spec) {
  spec.resources.choice.Set({nodes, ""});
  return spec;
}

struct WhyEarlier : ::testing::Test {
  // Another site or other sizes.
  TestCluster& Make(std::uint32_t nodes, Site site = {}, std::uint64_t memory_bytes = 8 << 20) {
    return cluster.emplace(nodes, 4, memory_bytes, std::move(site));
  }
  std::vector<EarlierStart> Of(JobId job) { return cluster->controller().Explain(job).earlier; }
  EarlierStart After(std::uint32_t seconds, std::string change) {
    return {std::move(change), cluster->now.PlusSeconds(seconds), seconds == 0};
  }
  // n1 is busy for 660 s, n2 for 3660.
  void BusyNodes() {
    (void)cluster->Submit(On("n1", Lasting(600, SmallJob(4))));
    (void)cluster->Submit(On("n2", Lasting(3600, SmallJob(4))));
  }
  void Planned(JobId job, std::uint32_t seconds) {
    auto planned = cluster->controller().PlannedStartOf(job);
    ASSERT_TRUE(planned);
    EXPECT_EQ(planned->at, cluster->now.PlusSeconds(seconds));
  }
  std::optional<TestCluster> cluster;
};

TEST_F(WhyEarlier, FewerNodesStartWhenTheFirstOfThemIsFree) {
  TestCluster& c = Make(2);
  BusyNodes();
  JobId job = c.Submit(Lasting(600, WideJob(2, 0)));
  Planned(job, 3660);
  EXPECT_THAT(Of(job), ElementsAre(After(660, "with 1 node instead of 2")));
}

TEST_F(WhyEarlier, OfTheAmountsThatHelpTheLargestIsNamedAndTheOneThatHelpsMost) {
  TestCluster& c = Make(4);
  BusyNodes();
  (void)c.Submit(On("n3", Lasting(3600, SmallJob(4))));
  (void)c.Submit(On("n4", Lasting(7200, SmallJob(4))));
  JobId job = c.Submit(Lasting(600, WideJob(4, 0)));
  Planned(job, 7260);
  EXPECT_THAT(Of(job),
              ElementsAre(After(660, "with 1 node instead of 4"), After(3660, "with 3 nodes instead of 4")));
}

TEST_F(WhyEarlier, TasksThatAreDealtOutEvenlyGoWithTheirNodes) {
  TestCluster& c = Make(2);
  BusyNodes();
  JobId job = c.Submit(Lasting(600, WideJob(2, 8)));
  Planned(job, 3660);
  EXPECT_THAT(Of(job), ElementsAre(After(660, "with 1 node and 4 tasks instead of 2 and 8")));
}

TEST_F(WhyEarlier, AShorterLimitStartsInTheHoleBeforeWhatIsPlanned) {
  Site site;
  site.plan.reservations = 2;
  TestCluster& c = Make(2, site);
  BusyNodes();
  Planned(c.Submit(Lasting(3600, WideJob(2, 8))), 3660);  // n1 is free from 660 to 3660
  JobId job = c.Submit(Lasting(7200, SmallJob(4)));
  Planned(job, 7320);
  EXPECT_THAT(Of(job), Contains(After(660, "with a time limit of 49 minutes")));  // 2,940 s and the grace
}

TEST_F(WhyEarlier, FewerTasksAndFewerCoresFitBesideWhatRunsLonger) {
  TestCluster& c = Make(1);
  (void)c.Submit(Lasting(600, SmallJob(2)));
  (void)c.Submit(Lasting(3600, SmallJob(2)));
  JobId tasks = c.Submit(Lasting(600, SmallJob(4)));
  Planned(tasks, 3660);
  EXPECT_THAT(Of(tasks), ElementsAre(After(660, "with 2 tasks instead of 4")));
  c.Do(CancelJob{{1}, tasks, {20001, false}});
  JobSpec threads = Lasting(600, SmallJob(1));
  threads.resources.cores_per_task = 3;
  JobId job = c.Submit(threads);
  Planned(job, 3660);
  EXPECT_THAT(Of(job), ElementsAre(After(660, "with 2 cores per task instead of 3")));
}

TEST_F(WhyEarlier, LessMemoryStartsWhenThatMuchIsFree) {
  TestCluster& c = Make(1);
  auto with = [](std::uint64_t mib, JobSpec spec) {
    spec.resources.memory_bytes_per_node = mib << 20;
    return spec;
  };
  (void)c.Submit(Lasting(600, with(6, SmallJob())));
  (void)c.Submit(Lasting(3600, with(2, SmallJob())));
  JobId job = c.Submit(Lasting(600, with(8, SmallJob())));
  Planned(job, 3660);
  EXPECT_THAT(Of(job), ElementsAre(After(660, "with 6 MiB of memory per node instead of 8 MiB")));
}

TEST_F(WhyEarlier, FewerGpusOrThoseOfAnotherTypeAreTried) {
  Site site;
  site.nodes["n1"].gpus = {{"a100", 2}};
  site.nodes["n2"].gpus = {{"h100", 2}};
  TestCluster& c = Make(2, site);
  auto with = [](std::uint32_t gpus, JobSpec spec) {
    spec.resources.gpu_type = "a100";
    spec.resources.gpus_per_node = gpus;
    return spec;
  };
  (void)c.Submit(Lasting(600, with(1, SmallJob())));
  (void)c.Submit(Lasting(3600, with(1, SmallJob())));
  JobId job = c.Submit(Lasting(600, with(2, SmallJob())));
  Planned(job, 3660);
  EXPECT_THAT(Of(job), ElementsAre(After(0, "with GPUs of type h100 instead of a100"),
                                   After(660, "with 1 GPU per node instead of 2")));
}

TEST_F(WhyEarlier, WithoutAFeatureOtherNodesDo) {
  Site site;
  site.nodes["n1"].features = {"ib"};
  site.nodes["n2"].features = {"ib", "big"};
  TestCluster& c = Make(2, site);
  BusyNodes();
  JobSpec spec = Lasting(600, SmallJob());
  spec.resources.constraint = "ib&big";
  JobId job = c.Submit(spec);
  Planned(job, 3660);
  EXPECT_THAT(Of(job), ElementsAre(After(660, "without big in --constraint"),
                                   After(660, "without --constraint=ib&big")));
}

TEST_F(WhyEarlier, AnotherPartitionIsNamedWhereTheUserMayUseItAndTheJobMayBeInIt) {
  Site site;
  site.partitions = {{.name = "batch", .nodes = {"n2"}, .is_default = true},
                     {.name = "debug", .nodes = {"n1"}},
                     {.name = "staff", .all_nodes = true, .allow_groups = {500}},
                     {.name = "short", .all_nodes = true, .max_time_s = 60},
                     {.name = "closed", .all_nodes = true, .state = PartitionState::kDrain}};
  TestCluster& c = Make(2, site);
  JobSpec first = Lasting(600, SmallJob(4));
  first.resources.partition = "debug";
  (void)c.Submit(first);
  (void)c.Submit(Lasting(3600, SmallJob(4)));
  JobId job = c.Submit(Lasting(600, SmallJob()));
  Planned(job, 3660);
  EXPECT_THAT(Of(job), ElementsAre(After(660, "in partition debug instead of batch")));
}

TEST_F(WhyEarlier, APartitionWhoseQosIsFullIsNotNamed) {
  Site site;
  site.qos.push_back({.name = "few"});
  site.qos.back().limits.grp_jobs = 1;
  site.partitions = {{.name = "batch", .nodes = {"n2"}, .is_default = true},
                     {.name = "debug", .nodes = {"n1"}, .qos = "few"}};
  TestCluster& c = Make(2, site);
  JobSpec first = Lasting(600, SmallJob(2));
  first.resources.partition = "debug";
  (void)c.Submit(first);
  (void)c.Submit(Lasting(3600, SmallJob(4)));
  JobId job = c.Submit(Lasting(600, SmallJob()));
  Planned(job, 3660);
  EXPECT_THAT(Of(job), IsEmpty());
}

TEST_F(WhyEarlier, WithoutExclusiveItSharesANode) {
  TestCluster& c = Make(1);
  (void)c.Submit(Lasting(600, SmallJob(3)));
  (void)c.Submit(Lasting(3600, SmallJob(1)));
  JobSpec spec = Lasting(600, SmallJob());
  spec.resources.exclusive = true;
  JobId job = c.Submit(spec);
  Planned(job, 3660);
  EXPECT_THAT(Of(job), ElementsAre(After(660, "without --exclusive")));
}

TEST_F(WhyEarlier, WithoutContiguousItTakesWhatLiesApart) {
  TestCluster& c = Make(3);
  BusyNodes();  // n3 is free
  JobSpec spec = Lasting(600, WideJob(2, 0));
  spec.resources.contiguous = true;
  JobId job = c.Submit(spec);
  Planned(job, 3660);
  EXPECT_THAT(Of(job), Contains(After(660, "without --contiguous")));
}

TEST_F(WhyEarlier, WithoutSwitchesItTakesNodesOfTwo) {
  Site site;
  site.network.kind = NetworkKind::kTree;
  site.network.switches = {
      {"leaf1", {"n1", "n2"}, {}}, {"leaf2", {"n3"}, {}}, {"top", {}, {"leaf1", "leaf2"}}};
  TestCluster& c = Make(3, site);
  BusyNodes();
  JobSpec spec = Lasting(600, WideJob(2, 0));
  spec.resources.switches = 1;
  spec.switch_wait_s = 100'000;
  JobId job = c.Submit(spec);
  Planned(job, 3660);
  EXPECT_THAT(Of(job), Contains(After(660, "without --switches")));
}

TEST_F(WhyEarlier, OneComponentThatAsksForLessStartsAllOfThemEarlier) {
  TestCluster& c = Make(2);
  BusyNodes();
  SubmitJob submit{{1}, Lasting(600, SmallJob(2))};
  submit.others = {Lasting(600, SmallJob(4))};
  c.Do(submit);
  ASSERT_TRUE(c.answer) << c.answer.error().message;
  JobId leader = std::get<JobAccepted>(*c.answer).job, other{leader.value + 1};
  Planned(other, 3660);
  EXPECT_THAT(Of(other), ElementsAre(After(660, "with 2 tasks instead of 4")));
}

TEST_F(WhyEarlier, WhatALimitForbidsIsHelpedByAskingForLessThanIt) {
  Site site;
  site.qos.push_back({.name = "normal"});
  site.qos.back().limits.max_per_user.cores = 4;
  TestCluster& c = Make(2, site);
  (void)c.Submit(Lasting(600, SmallJob(3)));
  JobId job = c.Submit(Lasting(600, SmallJob(3)));
  EXPECT_FALSE(c.controller().PlannedStartOf(job));
  EXPECT_THAT(Of(job), ElementsAre(After(0, "with 1 task instead of 3")));
}

TEST_F(WhyEarlier, WhoIsHeldOrWaitsForAnotherIsToldOfNoChange) {
  TestCluster& c = Make(2);
  BusyNodes();
  JobSpec held = Lasting(600, WideJob(2, 0)), later = held, begins = held;
  held.hold = true;
  later.dependencies = {{DependencyKind::kAfterAny, {1}, 0}};
  begins.begin = c.now.PlusSeconds(4000);
  for (const JobSpec& spec : {held, later, begins}) EXPECT_THAT(Of(c.Submit(spec)), IsEmpty());
}

TEST_F(WhyEarlier, AtMostFiveAreToldTheEarliestFirst) {
  Site site;
  for (std::uint32_t i = 1; i <= 8; ++i)
    site.partitions.push_back({.name = Cat('p', i), .nodes = {Cat('n', i)}, .is_default = i == 1});
  TestCluster& c = Make(8, site);
  for (std::uint32_t i = 1; i <= 8; ++i) {
    JobSpec spec = Lasting(600 * (9 - i), SmallJob(4));
    spec.resources.partition = Cat('p', i);
    (void)c.Submit(spec);
  }
  std::vector<EarlierStart> told = Of(c.Submit(Lasting(600, SmallJob())));
  ASSERT_EQ(told.size(), 5U);
  for (std::uint32_t i = 0; i < 5; ++i)
    EXPECT_EQ(told[i], After(600 * (i + 1) + 60, Cat("in partition p", 8 - i, " instead of p1")));
}

// Two clusters live the same; in one of them everybody asks all the time.
TEST_F(WhyEarlier, AskingChangesNothing) {
  Site site;
  site.plan.reservations = 4;
  site.partitions = {{.name = "batch", .all_nodes = true, .is_default = true},
                     {.name = "left", .nodes = {"n1", "n2", "n3"}}};
  for (std::uint32_t i = 1; i <= 6; i += 2) site.nodes[Cat('n', i)].features = {"odd"};
  TestCluster asked(6, 4, 8 << 20, site), left_alone(6, 4, 8 << 20, site);
  std::uint32_t random = 1, told = 0;
  auto draw = [&](std::uint32_t below) { return (random = random * 1664525 + 1013904223) / 65536 % below; };
  for (int i = 0; i < 150; ++i) {
    JobSpec spec =
        Lasting(600 * (1 + draw(8)), draw(2) == 0 ? SmallJob(1 + draw(4)) : WideJob(1 + draw(5), 0));
    spec.resources.constraint = draw(4) == 0 ? "odd" : draw(4) == 0 ? "!odd" : "";
    spec.resources.contiguous = spec.resources.nodes_min > 1 && draw(3) == 0;
    if (spec.resources.contiguous || spec.resources.nodes_min > 3) spec.resources.constraint.clear();
    const bool ends = draw(3) > 0;
    for (TestCluster* c : {&asked, &left_alone}) {
      (void)c->TrySubmit(spec);
      if (ends && !c->state().active.empty()) c->Finish(*c->state().active.begin());
      c->Pass(60);
    }
    for (const PendingKey& key : asked.state().pending)
      told += static_cast<std::uint32_t>(asked.controller().Explain(key.job).earlier.size());
    ASSERT_EQ(EncodeState(asked.state()), EncodeState(left_alone.state())) << i << ", promises among it";
  }
  EXPECT_GT(told, 100U);
}

}  // namespace
}  // namespace slipway::scheduler
