// SPDX-License-Identifier: Apache-2.0
// A heterogeneous job's components are submitted, started and ended together.
#include <gtest/gtest.h>

#include "scheduler/core/outstanding.h"
#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint32_t kAlice = 20001;

class HetTest : public ::testing::Test {
 protected:
  Result<JobId> TrySubmit(std::vector<JobSpec> components) {
    SubmitJob input{{1}, components.front()};
    input.others.assign(components.begin() + 1, components.end());
    cluster.Do(input);
    if (!cluster.answer) return Failure(cluster.answer.error());
    return std::get<JobAccepted>(*cluster.answer).job;
  }
  JobId Submit(std::vector<JobSpec> components) {
    Result<JobId> id = TrySubmit(std::move(components));
    CHECK(id.has_value());
    return *id;
  }
  static JobId Next(JobId id, std::uint64_t by = 1) { return {id.value + by}; }
  JobState StateOf(JobId id) { return cluster.Of(id).state; }
  TestCluster cluster{2};
};

TEST_F(HetTest, ComponentsStartAtOneInstantAndTheScriptRunsOnTheFirst) {
  JobId leader = Submit({SmallJob(4), SmallJob(4)});
  EXPECT_EQ(StateOf(leader), JobState::kStarting);
  EXPECT_EQ(StateOf(Next(leader)), JobState::kRunning);
  EXPECT_EQ(cluster.Of(leader).started, cluster.Of(Next(leader)).started);
  EXPECT_EQ(cluster.Of(leader).steps.size(), 1U);
  EXPECT_TRUE(cluster.Of(Next(leader)).steps.empty());
}

TEST_F(HetTest, NoneStartsWhileOneDoesNotFit) {
  JobId before = cluster.Submit(SmallJob(4));
  JobId leader = Submit({SmallJob(4), SmallJob(4)});
  EXPECT_EQ(StateOf(leader), JobState::kPending);
  EXPECT_EQ(StateOf(Next(leader)), JobState::kPending);
  cluster.Finish(before);
  EXPECT_EQ(StateOf(leader), JobState::kStarting);
  EXPECT_EQ(StateOf(Next(leader)), JobState::kRunning);
}

TEST_F(HetTest, AllEndWithTheScriptAndHaveItsOutcome) {
  JobId leader = Submit({SmallJob(4), SmallJob(4)});
  cluster.Finish(leader, 3);
  EXPECT_EQ(StateOf(Next(leader)), JobState::kCompleting);
  cluster.ReleaseAll(Next(leader));
  for (JobId id : {leader, Next(leader)}) {
    EXPECT_EQ(StateOf(id), JobState::kFailed);
    EXPECT_EQ(cluster.Of(id).outcome->exit_code, 3);
  }
}

TEST_F(HetTest, WhoCancelsOneCancelsAllPendingOrRunning) {
  cluster.Submit(SmallJob(4));
  JobId pending = Submit({SmallJob(4), SmallJob(4)});
  cluster.Do(CancelJob{{1}, Next(pending), {kAlice, false}});
  EXPECT_EQ(StateOf(pending), JobState::kCancelled);
  EXPECT_EQ(StateOf(Next(pending)), JobState::kCancelled);
  JobId running = Submit({SmallJob(2), SmallJob(2)});
  cluster.Do(CancelJob{{1}, Next(running), {kAlice, false}});
  EXPECT_EQ(StateOf(running), JobState::kCompleting);
  cluster.ReleaseAll(running);
  cluster.ReleaseAll(Next(running));
  EXPECT_EQ(StateOf(running), JobState::kCancelled);
  EXPECT_EQ(StateOf(Next(running)), JobState::kCancelled);
}

TEST_F(HetTest, ALostNodeOfOneRequeuesAllAndTheyStartAgainTogether) {
  JobSpec spec = SmallJob(4);
  spec.requeue = true;
  JobId leader = Submit({spec, SmallJob(4)});
  std::string node = cluster.Of(Next(leader)).nodes.front().node;
  cluster.Do(ChangeNode{{1}, node, NodeChange::kDown, "fire"});
  EXPECT_EQ(StateOf(Next(leader)), JobState::kPending);
  EXPECT_EQ(StateOf(leader), JobState::kCompleting);
  cluster.ReleaseAll(leader);
  EXPECT_EQ(StateOf(leader), JobState::kPending);
  cluster.Register(node, "boot-2");
  cluster.Pass(1);
  EXPECT_EQ(StateOf(leader), JobState::kStarting);
  EXPECT_EQ(StateOf(Next(leader)), JobState::kRunning);
  EXPECT_EQ(cluster.Of(leader).attempt, 2U);
  EXPECT_EQ(cluster.Of(Next(leader)).attempt, 2U);
}

TEST_F(HetTest, HoldingOneHoldsAll) {
  JobSpec held = SmallJob(2);
  held.hold = true;
  JobId leader = Submit({held, SmallJob(2)});
  EXPECT_EQ(StateOf(Next(leader)), JobState::kPending);
  cluster.Do(ChangeJob{{1}, Next(leader), {kAlice, false}, {.hold = Hold::kNone}});
  EXPECT_EQ(StateOf(leader), JobState::kStarting);
  EXPECT_EQ(StateOf(Next(leader)), JobState::kRunning);
}

TEST_F(HetTest, ALaunchEndsWhenAllItsProgramsHaveOrOneFails) {
  JobId leader = Submit({LaunchJob(1, 2), LaunchJob(1, 2)});
  StepId first = cluster.PrimaryOf(leader), second = cluster.PrimaryOf(Next(leader));
  std::string node1 = cluster.Of(leader).nodes.front().node,
              node2 = cluster.Of(Next(leader)).nodes.front().node;
  cluster.Started(first, node1);
  cluster.Started(second, node2);
  cluster.Ended(first, node1);
  EXPECT_EQ(StateOf(leader), JobState::kRunning);
  cluster.Ended(second, node2, 7);
  EXPECT_EQ(StateOf(leader), JobState::kCompleting);
  EXPECT_EQ(cluster.Of(leader).outcome->exit_code, 7);
  EXPECT_EQ(cluster.Of(Next(leader)).outcome->exit_code, 7);
}

TEST_F(HetTest, DependentsNameTheLeader) {
  JobId leader = Submit({SmallJob(1), SmallJob(1)});
  JobSpec after = SmallJob(1);
  after.dependencies = {{DependencyKind::kAfterOk, Next(leader), 0}};
  Result<JobId> refused = cluster.TrySubmit(after);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("name that one"), std::string::npos);
  after.dependencies = {{DependencyKind::kAfterOk, leader, 0}};
  EXPECT_TRUE(cluster.TrySubmit(after));
}

TEST_F(HetTest, WhatCouldNeverRunTogetherIsRefusedAlthoughEachWould) {
  Result<JobId> refused = TrySubmit({SmallJob(4), SmallJob(4), SmallJob(1)});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("never all at once"), std::string::npos);
}

// Chaos seed 82: it waited for ever.
TEST_F(HetTest, MoreComponentsThanAQosMayRunAtOnceAreRefused) {
  Site site;
  Qos normal;
  normal.name = "normal";
  normal.limits.max_jobs_per_user = 1;
  site.qos.push_back(normal);
  TestCluster limited(2, 4, 8 << 20, site);
  limited.Do(SubmitJob{{1}, SmallJob(1), {SmallJob(1)}});
  ASSERT_FALSE(limited.answer);
  EXPECT_NE(limited.answer.error().message.find("QOSJobsLimit"), std::string::npos);
}

TEST_F(HetTest, AnArrayIsRefused) {
  JobSpec array = SmallJob(1);
  array.array = ArrayRequest{{1, 2}, 0};
  EXPECT_FALSE(TrySubmit({array, SmallJob(1)}));
  EXPECT_FALSE(TrySubmit({SmallJob(1), array}));
}

TEST_F(HetTest, SwitchesAndAMinimalTimeAndLaterDependenciesAreRefusedByName) {
  JobSpec switches = WideJob(1, 1), shorter = SmallJob(1), depends = SmallJob(1);
  switches.resources.switches = 1;
  shorter.time_limit_s = 100;
  shorter.time_min_s = 10;
  JobId before = cluster.Submit(SmallJob(1));
  depends.dependencies = {{DependencyKind::kAfterOk, before, 0}};
  const std::pair<JobSpec, std::string> kRefused[] = {
      {switches, "--switches"}, {shorter, "--time-min"}, {depends, "dependencies belong to the whole job"}};
  for (const auto& [component, names] : kRefused) {
    Result<JobId> refused = TrySubmit({SmallJob(1), component});
    ASSERT_FALSE(refused) << names;
    EXPECT_NE(refused.error().message.find(names), std::string::npos) << refused.error().message;
  }
}

TEST_F(HetTest, SuspendingOneComponentSuspendsAllAndResumingOneResumesAll) {
  JobId leader = Submit({LaunchJob(1, 4), LaunchJob(1, 4)}), second = Next(leader);
  const std::string node1 = cluster.Of(leader).nodes.front().node,
                    node2 = cluster.Of(second).nodes.front().node;
  cluster.Started(cluster.PrimaryOf(leader), node1);
  cluster.Do(SuspendJob{{1}, second, {0, true}, true});
  EXPECT_FALSE(cluster.answer) << "the other's program is being started";
  EXPECT_FALSE(cluster.Of(leader).suspended() || cluster.Of(second).suspended());
  cluster.Started(cluster.PrimaryOf(second), node2);
  cluster.Do(SuspendJob{{1}, second, {0, true}, true});
  ASSERT_TRUE(cluster.answer) << cluster.answer.error().message;
  EXPECT_TRUE(cluster.Of(leader).suspended() && cluster.Of(second).suspended());
  EXPECT_EQ(cluster.Sent(node1, Cat("SuspendStep ", leader.value)), 1U);
  EXPECT_EQ(cluster.Sent(node2, Cat("SuspendStep ", second.value)), 1U);
  cluster.Restart();
  cluster.Register(node1, "boot-1", {cluster.PrimaryOf(leader)});
  cluster.Register(node2, "boot-1", {cluster.PrimaryOf(second)});
  cluster.Do(SuspendJob{{1}, leader, {0, true}, false});
  ASSERT_TRUE(cluster.answer) << cluster.answer.error().message;
  EXPECT_FALSE(cluster.Of(leader).suspended() || cluster.Of(second).suspended());
}

TEST_F(HetTest, StepsFindTheComponentsInTheirEnvironment) {
  JobId leader = Submit({SmallJob(2), SmallJob(3)});
  const Job& job = cluster.Of(leader);
  LaunchStep launch = MakeLaunch(cluster.state(), job, job.steps.front(), 0, cluster.now);
  auto has = [&](const std::string& entry) {
    const std::vector<std::string>& env = launch.command->env;
    return std::ranges::find(env, entry) != env.end();
  };
  EXPECT_TRUE(has("SLURM_HET_SIZE=2"));
  EXPECT_TRUE(has(Cat("SLURM_JOB_ID_HET_GROUP_1=", leader.value + 1)));
  EXPECT_TRUE(has("SLURM_NTASKS_HET_GROUP_1=3"));
  EXPECT_TRUE(has("SLIPWAY_NTASKS_HET_GROUP_0=2"));
}

TEST_F(HetTest, ASnapshotAndTheEventKeepTheWhole) {
  JobId leader = Submit({SmallJob(4), SmallJob(4)});
  Result<State> copy = DecodeState(EncodeState(cluster.state()));
  ASSERT_TRUE(copy.has_value());
  EXPECT_EQ(copy->ComponentsOf(Next(leader)), (std::vector<JobId>{leader, Next(leader)}));
  EXPECT_EQ(EncodeState(*copy), EncodeState(cluster.state()));
  Result<Event> event = DecodeEvent(EncodeEvent({{5}, HetJobSubmitted{{7}, {SmallJob(1), SmallJob(2)}}}));
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(std::get<HetJobSubmitted>(event->body).components.size(), 2U);
}

}  // namespace
}  // namespace slipway::scheduler
