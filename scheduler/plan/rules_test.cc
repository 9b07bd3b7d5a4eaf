// SPDX-License-Identifier: Apache-2.0
// What else a start has to heed: views of one machine, limits, licences, images, who may be preempted; and
// the policies' names.
#include <gtest/gtest.h>

#include "scheduler/plan/test_jobs.h"

namespace slipway::plan {
namespace {

TEST(Views, WhatAJobTakesOfOneViewOfAMachineItTakesOfAll) {
  Planner planner(MakePolicy("easy"));
  NodeNumber node = planner.cluster().AddNode(Of(4));
  NodeNumber view = planner.cluster().AddView(node);
  NodeBits only(2);
  only.Set(view);
  std::uint32_t set = planner.cluster().AddSet(only);
  planner.Reserve(node, Of(4), 100, 200);
  planner.Reserve(view, Of(4), 0, 100);
  planner.Reserve(view, Of(4), 200, kNever);
  PlanJob inside = JobOf(1, 50, Of(3));
  inside.request.where = set;
  planner.Add(inside);
  planner.Add(JobOf(2, 150, Of(3)));
  planner.Add(JobOf(3, 90, Of(3)));
  EXPECT_EQ(Started(planner.Pass()), std::vector<JobNumber>{3});
  EXPECT_EQ(planner.PromiseOf(1)->start, 100);
  planner.Remove(3);
  planner.Advance(100);
  EXPECT_EQ(Started(planner.Pass()), std::vector<JobNumber>{1});
  EXPECT_EQ(planner.cluster().Free(view)[kCores], 1);
  planner.Release(1, node);
  EXPECT_EQ(planner.cluster().Free(view)[kCores], 4) << "the machine is meant, not the view";
}

TEST(Limits, AJobAtItsLimitLeavesTheWayToOthers) {
  Planner planner(MakePolicy("easy"));
  planner.cluster().AddNode(Of(8));
  std::uint32_t one = planner.AddLimit({1, {}, 0, {}});
  std::uint32_t cores = planner.AddLimit({-1, Of(3), 0, {}});
  for (JobNumber id = 1; id <= 2; ++id) {
    PlanJob job = JobOf(id, 10, Of(1));
    job.limits = {one};
    planner.Add(job);
  }
  for (JobNumber id = 3; id <= 4; ++id) {
    PlanJob job = JobOf(id, 10, Of(2));
    job.limits = {cores};
    planner.Add(job);
  }
  EXPECT_EQ(Started(planner.Pass()), (std::vector<JobNumber>{1, 3}));
  EXPECT_EQ(planner.WhyWaits(2), Waits::kLimit);
  planner.Remove(1);
  planner.Remove(3);
  EXPECT_EQ(Started(planner.Pass()), (std::vector<JobNumber>{2, 4}));
}

TEST(Licences, AreInTheProfile) {
  Planner planner(MakePolicy("easy"));
  planner.cluster().AddNode(Of(8));
  planner.cluster().SetLicences(Of(2));
  for (JobNumber id = 1; id <= 3; ++id) {
    PlanJob job = JobOf(id, 10, Of(1));
    job.request.licences = Of(1);
    planner.Add(job);
  }
  EXPECT_EQ(Started(planner.Pass()), (std::vector<JobNumber>{1, 2}));
  EXPECT_EQ(planner.PromiseOf(3)->start, 10);
}

TEST(Licences, ThatWerePromisedAreNotTakenByWhoComesLater) {
  Planner planner(MakePolicy("easy"));
  planner.cluster().AddNode(Of(8));
  planner.cluster().SetLicences(Of(2));
  auto add = [&](JobNumber id, Instant length, std::int64_t licences) {
    PlanJob job = JobOf(id, length, Of(1));
    job.request.licences = Of(licences);
    planner.Add(job);
  };
  add(1, 10, 1);
  ASSERT_EQ(Started(planner.Pass()), std::vector<JobNumber>{1});
  add(2, 10, 2);   // cores are free; both licences are in ten seconds
  add(3, 100, 1);  // would have one of them then
  add(4, 100, 0);
  add(5, 10, 1);  // gives it back in time
  EXPECT_EQ(Started(planner.Pass()), (std::vector<JobNumber>{4, 5}));
  EXPECT_EQ(planner.PromiseOf(2)->start, 10);
  planner.Remove(1);
  planner.Remove(5);
  planner.Advance(10);
  EXPECT_EQ(Started(planner.Pass()), std::vector<JobNumber>{2});
}

TEST(Placement, ImageLocalityWinsTies) {
  Planner planner(MakePolicy("easy"));
  for (int i = 0; i < 4; ++i) planner.cluster().AddNode(Of(1));
  NodeBits have(4);
  have.Set(2);
  PlanJob job = JobOf(1, 10, Of(1), 2);
  job.prefer = planner.cluster().AddSet(have);
  planner.Add(job);
  std::vector<PlanStart> starts = planner.Pass();
  ASSERT_EQ(starts.size(), 1U);
  EXPECT_EQ(starts[0].nodes, (Placement{{0, 0}, {2, 0}}));
}

TEST(Placement, ImageLocalityWinsTiesOfJobsThatGiveOnlyTasks) {
  auto placed = [](std::uint32_t tasks, std::vector<std::int64_t> cores, std::vector<NodeNumber> have) {
    Planner planner(MakePolicy("easy"));
    for (std::int64_t one : cores) planner.cluster().AddNode(Of(one));
    NodeBits bits(cores.size());
    for (NodeNumber node : have) bits.Set(node);
    PlanJob job = JobOf(1, 10, Vec());
    job.request.task = Of(1);
    job.request.tasks = tasks;
    job.request.nodes_max = static_cast<std::uint32_t>(cores.size());
    job.prefer = planner.cluster().AddSet(bits);
    planner.Add(job);
    std::vector<PlanStart> starts = planner.Pass();
    return starts.empty() ? Placement() : starts[0].nodes;
  };
  EXPECT_EQ(placed(2, {4, 4, 4}, {2}), (Placement{{2, 2}})) << "one node that holds all";
  EXPECT_EQ(placed(6, {4, 4, 4}, {1, 2}), (Placement{{1, 4}, {2, 2}})) << "several that are alike";
  EXPECT_EQ(placed(6, {4, 4, 3}, {2}), (Placement{{0, 4}, {1, 2}})) << "it is a tie or it is nothing";
  EXPECT_EQ(placed(2, {4, 4}, {}), (Placement{{0, 2}}));
}

// It would end later, and over what is promised behind it.
// What a longer job of the same request lacks is no measure for the shorter one that waits beside it.
// The group that two of a kind are of was looked at once more when both had started and it was empty.
TEST(QuickPass, StartsEachOfSeveralOfAKindOnceThatComeTogether) {
  Planner planner(MakePolicy("multifactor:1"));
  for (int i = 0; i < 2; ++i) planner.cluster().AddNode(Of(4, 100, 0, kTokens));
  planner.AddRunning(JobOf(1, 5000, Of(4)), {{0, 0}}, 5000);
  planner.Add(JobOf(2, 10'000, Of(4), 2));
  EXPECT_TRUE(planner.Pass().empty());
  ASSERT_EQ(planner.PromiseOf(2)->start, 5000);
  planner.Add(JobOf(3, 100, Of(1)));
  planner.Add(JobOf(4, 100, Of(1)));
  EXPECT_EQ(Started(planner.QuickPass()), (std::vector<JobNumber>{3, 4}));
  EXPECT_EQ(planner.statistics().quick_passes, 1U);
}

TEST(QuickPass, AnEndLetsAShortJobInThoughALongerOneOfItsKindCameMeanwhile) {
  Planner planner(MakePolicy("multifactor:2"));
  for (int i = 0; i < 5; ++i) planner.cluster().AddNode(Of(4, 100, 0, kTokens));
  auto set = [&](std::initializer_list<NodeNumber> nodes) {
    NodeBits bits(5);
    for (NodeNumber node : nodes) bits.Set(node);
    return planner.cluster().AddSet(bits);
  };
  planner.AddRunning(JobOf(1, 5000, Of(4)), {{0, 0}}, 5000);
  planner.AddRunning(JobOf(2, 100, Of(4)), {{1, 0}}, 100);
  planner.AddRunning(JobOf(3, 5000, Of(4)), {{4, 0}}, 5000);  // 2 and 3 are free
  PlanJob soon = JobOf(4, 10'000, Of(4), 2, 10), late = JobOf(5, 100, Of(4), 3, 9);
  soon.request.where = set({1, 2});
  late.request.where = set({0, 3, 4});
  planner.Add(soon);
  planner.Add(late);
  EXPECT_TRUE(planner.Pass().empty());
  ASSERT_EQ(planner.PromiseOf(4)->start, 100);
  ASSERT_EQ(planner.PromiseOf(5)->start, 5000);
  planner.Add(JobOf(6, 3000, Of(4), 2));  // fits node 3: one is missing
  EXPECT_TRUE(planner.QuickPass().empty());
  planner.Add(JobOf(7, 9000, Of(4), 2));  // fits none: two are missing
  EXPECT_TRUE(planner.QuickPass().empty());
  planner.Remove(1);
  EXPECT_EQ(Started(planner.QuickPass()), (std::vector<JobNumber>{6})) << "on 0 and 3, until 3000";
  EXPECT_EQ(planner.statistics().quick_passes, 3U);
}

TEST(Preemption, WhoWouldEndLaterAtTheCostOfAPromiseDoesNotLend) {
  for (bool promised : {false, true}) {
    Planner planner(MakePolicy("easy"));
    planner.cluster().AddNode(Of(2));
    planner.Add(JobOf(1, 10, Of(2)));
    ASSERT_EQ(Started(planner.Pass()), (std::vector<JobNumber>{1}));
    if (promised) planner.Add(JobOf(2, 10, Of(2)));
    planner.Pass();
    ASSERT_EQ(planner.PromiseOf(2).has_value(), promised);
    planner.Add(JobOf(3, 5, Of(2)));
    auto victims = planner.VictimsFor(3, {{1, true}}, {});
    ASSERT_TRUE(victims.has_value() && victims->size() == 1);
    EXPECT_EQ(victims->at(0).job, 1U);
    EXPECT_EQ(victims->at(0).lends, !promised);
  }
}

TEST(Policies, AreKnownByName) {
  for (const std::string& name : PolicyNames()) {
    ASSERT_NE(MakePolicy(name), nullptr) << name;
    EXPECT_EQ(MakePolicy(name)->name(), name);
  }
  EXPECT_EQ(MakePolicy("easy:20")->rules().reservations, 20U);
  for (const char* wrong : {"", "easyy", "easy:", "easy:0", "easy:x", "fcfs:3"})
    EXPECT_EQ(MakePolicy(wrong), nullptr) << wrong;
}

}  // namespace
}  // namespace slipway::plan
