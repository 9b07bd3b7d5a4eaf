// SPDX-License-Identifier: Apache-2.0
// A quick pass starts what a whole pass would start, in the same order and on the same nodes, wherever the
// whole one would plan nothing anew and take no promise back: random clusters live, and at every step both
// decide, the whole one on a copy.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <random>
#include <set>
#include <tuple>

#include "scheduler/plan/test_jobs.h"

namespace slipway::plan {
namespace {

struct Seen {
  std::uint64_t compared = 0, starts = 0, planned_starts = 0;
};

class Two {
 public:
  // `bound`: so many starts are promised to one user's jobs at once; 0: any number.
  Two(std::uint32_t seed, std::uint32_t bound)
      : random_(seed), limited_(Below(3) == 0), planner_(MakePolicy("multifactor:6")) {
    // Which of the nodes that fit are taken is then no matter of what was looked at before.
    planner_.cluster().LookAtAll();
    const std::uint32_t nodes = 3 + Below(8);
    for (std::uint32_t i = 0; i < nodes; ++i)
      planner_.cluster().AddNode(Of(2 + 2 * Below(3), 4 + Below(8), 0, kTokens));
    planner_.cluster().SetLicences(Of(3));
    for (std::uint32_t i = 0; i < 2; ++i) {
      NodeBits set(nodes);
      for (NodeNumber node = 0; node < nodes; ++node) set.Put(node, Below(3) > 0);
      planner_.cluster().AddSet(set);
    }
    Limit of_user;
    if (bound > 0) of_user.planned_max = bound;
    if (limited_) of_user.jobs_max = 2 + Below(3);
    for (std::uint32_t user = 0; user < kUsers; ++user) {
      users_.push_back(planner_.AddLimit(of_user));
      lanes_.push_back(planner_.AddLane(Below(4)));
    }
    for (std::uint32_t i = 0; i < 30; ++i) Submit();
    Record(planner_.Pass());
  }

  void Run(int steps, Seen& seen) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE(testing::Message() << "step " << i);
      if (Below(4) == 0) PassTime();
      for (std::uint32_t end = Below(4); end > 0 && !running_.empty(); --end) End();
      for (std::uint32_t job = Below(4); job > 0; --job) Submit();
      Decide(seen);
    }
  }

 private:
  using Promise = std::tuple<JobNumber, Instant, Placement>;
  using Start = std::tuple<JobNumber, Instant, Placement>;
  std::uint32_t Below(std::uint32_t n) { return random_() % n; }

  void Submit() {
    const std::uint32_t user = Below(kUsers);
    const Vec node = Of(1 + Below(3), Below(4), 0, Below(4) == 0 ? kTokens : 1);
    PlanJob job = JobOf(next_++, 1 + 20 * Below(6), node, 1 + Below(4), Below(3));
    job.request.where = Below(3);
    if (Below(12) == 0) job.request.licences = Of(1 + Below(2));
    if (Below(10) == 0) job.least = 1 + job.facts.length / 2;
    job.lane = lanes_[user];
    job.limits = {users_[user]};
    if (planner_.cluster().CouldRun(job.request, false)) planner_.Add(job);
  }

  void End() {
    auto job = running_.begin();
    std::advance(job, Below(static_cast<std::uint32_t>(running_.size())));
    planner_.Remove(*job);
    running_.erase(job);
  }

  // To before the next planned start: there a whole pass is due.
  void PassTime() {
    now_ = std::min(now_ + 1 + Below(10), std::max(now_, planner_.NextStart() - 1));
    planner_.Advance(now_);
    for (JobNumber job : planner_.Overdue()) {
      planner_.Remove(job);
      running_.erase(job);
    }
  }

  static std::set<Promise> PromisesOf(const Planner& planner) {
    std::set<Promise> promises;
    for (const Planner::Promise& one : planner.Promises()) promises.emplace(one.job, one.start, *one.nodes);
    return promises;
  }
  static std::vector<Start> All(const std::vector<PlanStart>& starts) {
    std::vector<Start> all;
    for (const PlanStart& start : starts) all.emplace_back(start.job, start.length, start.nodes);
    return all;
  }

  void Decide(Seen& seen) {
    std::set<Promise> left = PromisesOf(planner_);
    const std::size_t promised = left.size();
    Planner copy = planner_;
    const std::vector<PlanStart> whole = copy.Pass();
    // Of what is promised in one walk a limit may take something back in the next, or it moves, or starts.
    const std::uint64_t walks = copy.statistics().walks - planner_.statistics().walks;
    const bool anew = walks > (limited_ ? 1U : 2U);
    const std::uint64_t passes = planner_.statistics().passes;
    const std::vector<PlanStart> quick = planner_.QuickPass();
    Record(quick);
    if (planner_.statistics().passes > passes) return;  // it was a whole one
    const std::vector<JobNumber> started = Started(whole);
    std::erase_if(left,
                  [&](const Promise& one) { return std::ranges::count(started, std::get<0>(one)) > 0; });
    // Where nobody was found to wait, a whole pass leaves the promised ones alone that it has come by when a
    // later one starts; they are looked at in the next pass.
    const bool left_alone = walks == 1 && left.size() < promised;
    if (anew || left_alone || PromisesOf(copy) != left) return;
    ++seen.compared;
    seen.starts += started.size();
    seen.planned_starts += promised - left.size();
    EXPECT_EQ(All(quick), All(whole));
    EXPECT_EQ(PromisesOf(planner_), left);
  }

  void Record(const std::vector<PlanStart>& starts) {
    for (const PlanStart& start : starts) running_.insert(start.job);
  }

  static constexpr std::uint32_t kUsers = 4;
  std::mt19937 random_;
  const bool limited_;  // how many of a user's jobs run at once
  Planner planner_;
  std::vector<std::uint32_t> users_;
  std::vector<LaneNumber> lanes_;
  Instant now_ = 0;
  JobNumber next_ = 1;
  std::set<JobNumber> running_;
};

TEST(QuickPass, StartsWhatAWholePassWouldStartInTheSameOrder) {
  const char* more = std::getenv("SLIPWAY_TEST_FULL");
  const std::uint32_t kSeeds = more != nullptr && more[0] != '\0' ? 10'000 : 150;
  Seen seen;
  for (std::uint32_t bound = 0; bound < 3; ++bound) {
    for (std::uint32_t seed = 1; seed <= kSeeds; ++seed) {
      SCOPED_TRACE(testing::Message() << "bound " << bound << " seed " << seed);
      Two(seed, bound).Run(60, seen);
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(seen.compared, 2'000U);  // the lives were worth it
  EXPECT_GT(seen.starts, 1'500U);
  EXPECT_GT(seen.planned_starts, 10U);
}

// What a planned job leaves by starting elsewhere counts in the same walk, though not all was asked anew.
TEST(QuickPass, WhatAPlannedJobLeavesIsForTheNextInOrder) {
  Planner planner(MakePolicy("multifactor:2"));
  for (int i = 0; i < 3; ++i) planner.cluster().AddNode(Of(4));
  auto set = [&](std::initializer_list<NodeNumber> nodes) {
    NodeBits bits(3);
    for (NodeNumber node : nodes) bits.Set(node);
    return planner.cluster().AddSet(bits);
  };
  planner.AddRunning(JobOf(1, 500, Of(4)), {{0, 0}}, 500);
  planner.AddRunning(JobOf(2, 100, Of(2)), {{1, 0}}, 100);
  planner.AddRunning(JobOf(3, 1000, Of(4)), {{2, 0}}, 1000);
  PlanJob planned = JobOf(4, 500, Of(4), 1, 10), far = JobOf(5, 500, Of(4), 1, 9);
  PlanJob next = JobOf(6, 150, Of(2), 1, 5), last = JobOf(7, 150, Of(2), 1, 1);
  planned.request.where = next.request.where = set({0, 1});
  far.request.where = set({2});
  last.request.where = set({1});
  for (const PlanJob& job : {planned, far, next}) planner.Add(job);
  EXPECT_TRUE(planner.Pass().empty());
  ASSERT_EQ(planner.PromiseOf(4)->start, 100);
  ASSERT_EQ(planner.PromiseOf(5)->start, 1000);
  planner.Remove(1);
  planner.Add(last);
  EXPECT_EQ(Started(planner.QuickPass()), (std::vector<JobNumber>{4, 6}));
  EXPECT_EQ(planner.statistics().passes, 1U);
}

// Found by the first (bound 1, seed 120): none of the nodes that were freed was any of its own.
TEST(QuickPass, LooksAtPlannedJobsThatWaitForALicence) {
  Planner planner(MakePolicy("multifactor:1"));
  planner.cluster().AddNode(Of(4));
  planner.cluster().SetLicences(Of(1));
  PlanJob holds = JobOf(1, 100, Of(1)), wants = JobOf(2, 100, Of(1));
  holds.request.licences = wants.request.licences = Of(1);
  NodeNumber other = planner.cluster().AddNode(Of(4));
  planner.AddRunning(holds, {{other, 0}}, 100);
  NodeBits first(2);
  first.Set(0);
  wants.request.where = planner.cluster().AddSet(first);
  planner.Add(wants);
  EXPECT_TRUE(planner.Pass().empty());
  ASSERT_EQ(planner.PromiseOf(2)->start, 100);
  planner.Advance(10);
  planner.Remove(1);
  EXPECT_EQ(Started(planner.QuickPass()), std::vector<JobNumber>{2}) << "on a node that nobody freed";
  EXPECT_EQ(planner.statistics().quick_passes, 1U);
}

// Found by the first (bound 0, seed 4984): its node was free already, when its user had reached his limit.
TEST(QuickPass, LooksAtPlannedJobsThatWaitForALimit) {
  Planner planner(MakePolicy("multifactor:2"));
  for (int i = 0; i < 2; ++i) planner.cluster().AddNode(Of(4));
  auto only = [&](NodeNumber node) {
    NodeBits bits(2);
    bits.Set(node);
    return planner.cluster().AddSet(bits);
  };
  planner.AddRunning(JobOf(1, 100, Of(4)), {{0, 0}}, 100);
  PlanJob waits = JobOf(2, 50, Of(4)), other = JobOf(3, 50, Of(4));
  waits.limits = other.limits = {planner.AddLimit({1, {}, 0, {}})};
  waits.request.where = only(0);
  other.request.where = only(1);
  planner.Add(waits);
  EXPECT_TRUE(planner.Pass().empty());
  ASSERT_EQ(planner.PromiseOf(2)->start, 100);
  planner.Add(other);
  EXPECT_EQ(Started(planner.QuickPass()), std::vector<JobNumber>{3});
  planner.Remove(1);
  EXPECT_TRUE(planner.QuickPass().empty());
  planner.Remove(3);
  EXPECT_EQ(Started(planner.QuickPass()), std::vector<JobNumber>{2});
  EXPECT_EQ(planner.statistics().quick_passes, 3U);
}

// Found by the first (bound 0, seed 8843): only those of the first user were.
TEST(QuickPass, LooksAtWhoComesWhileAnotherUserOfTheSameRequestIsBelowHisLimitAgain) {
  Planner planner(MakePolicy("multifactor:2"));
  for (int i = 0; i < 3; ++i) planner.cluster().AddNode(Of(4));
  auto only = [&](NodeNumber node) {
    NodeBits bits(3);
    bits.Set(node);
    return planner.cluster().AddSet(bits);
  };
  PlanJob ends = JobOf(1, 100, Of(1)), far = JobOf(2, 100, Of(4)), longer = JobOf(3, 100, Of(2), 1, -1);
  ends.limits = longer.limits = {planner.AddLimit({1, {}, 0, {}})};
  planner.AddRunning(JobOf(9, 100, Of(4)), {{1, 0}}, 100);
  planner.AddRunning(ends, {{2, 0}}, 100);
  far.request.where = only(1);
  longer.request.where = only(0);
  planner.Add(far);
  planner.Add(longer);
  EXPECT_TRUE(planner.Pass().empty());
  PlanJob comes = longer;
  comes.facts.id = 4;
  comes.facts.length = 50;
  comes.limits.clear();
  planner.Remove(1);
  planner.Add(comes);
  EXPECT_EQ(Started(planner.QuickPass()), (std::vector<JobNumber>{3, 4}));
}

}  // namespace
}  // namespace slipway::plan
