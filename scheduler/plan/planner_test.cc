// SPDX-License-Identifier: Apache-2.0
// What a scheduler must never do, on random clusters and queues, against oracles that know nothing of the
// planner's indexes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>

#include "scheduler/plan/test_jobs.h"

namespace slipway::plan {
namespace {

class Life {
 public:
  // `bound`: so many starts are promised to one user's jobs at once; 0: any number.
  Life(std::uint32_t seed, const std::string& policy, std::uint32_t bound = 0)
      : random_(seed), bound_(bound), planner_(MakePolicy(policy)) {
    policy_ = policy;
    std::uint32_t nodes = 1 + Below(6);
    for (std::uint32_t i = 0; i < nodes; ++i)
      planner_.cluster().AddNode(Of(1 + Below(8), Below(16), Below(3), kTokens));
    limit_ = planner_.AddLimit({kLimited, {}, 0, {}});
    Limit of_user;
    of_user.planned_max = bound;
    for (std::uint32_t user = 0; bound > 0 && user < kUsers; ++user)
      bounds_.push_back(planner_.AddLimit(of_user));
    planner_.cluster().SetLicences(Of(kLicences));
    for (std::uint32_t i = 0; i < 2; ++i) {
      NodeBits set(nodes);
      for (NodeNumber node = 0; node < nodes; ++node) set.Put(node, Below(3) > 0);
      planner_.cluster().AddSet(set);
    }
  }

  const Planner::Statistics& statistics() const { return planner_.statistics(); }

  void Run(int steps) {
    for (int i = 0; i < steps && !HasFailure(); ++i) {
      Instant then = now_ + Below(5);
      while (planner_.NextStart() <= then) {  // the timer of a planned start
        planner_.Advance(now_ = planner_.NextStart());
        EndThoseDue();
        Pass();
        if (HasFailure()) return;
      }
      planner_.Advance(now_ = then);
      std::uint32_t what = Below(10);
      if (what < 5) Submit();
      EndThoseDue();
      if (what == 9 && !waiting_.empty()) Cancel();
      Pass();
      Check();
    }
    Drain();
  }

 private:
  static bool HasFailure() { return ::testing::Test::HasFailure(); }
  std::uint32_t Below(std::uint32_t n) { return random_() % n; }

  void Submit() {
    PlanJob job = JobOf(next_++, 1 + Below(40),
                        Of(1 + Below(4), Below(6), Below(8) == 0 ? 1 : 0, Below(6) == 0 ? kTokens : 1),
                        1 + Below(3), Below(3));
    job.request.where = Below(3);
    if (Below(4) == 0) {
      job.request.tasks = 1 + Below(6);
      job.request.task = Of(1 + Below(2));
      job.request.node = Of(0, Below(3), 0, 1);
      job.request.nodes_min = 1;
      job.request.nodes_max = job.request.tasks;
    }
    if (Below(5) == 0) job.limits = {limit_};
    if (bound_ > 0) job.limits.push_back(bounds_[job.facts.id % kUsers]);
    if (Below(5) == 0) job.request.licences = Of(1 + Below(2));
    if (!planner_.cluster().CouldRun(job.request, false)) return;
    planner_.Add(job);
    waiting_[job.facts.id] = job;
  }

  void EndThoseDue() {
    for (auto it = running_.begin(); it != running_.end();) {
      bool ends = it->second.end <= now_ || Below(12) == 0;
      if (ends) planner_.Remove(it->first);
      it = ends ? running_.erase(it) : std::next(it);
    }
  }

  void Cancel() {
    auto it = waiting_.begin();
    std::advance(it, Below(static_cast<std::uint32_t>(waiting_.size())));
    planner_.Remove(it->first);
    promised_.erase(it->first);
    waiting_.erase(it);
  }

  void Pass() {
    const bool quick = Below(3) > 0;
    std::vector<PlanStart> starts = quick ? planner_.QuickPass() : planner_.Pass();
    for (PlanStart& start : starts) {
      auto it = waiting_.find(start.job);
      ASSERT_NE(it, waiting_.end()) << "started twice";
      auto promise = promised_.find(start.job);
      if (promise != promised_.end()) {
        EXPECT_LE(now_, promise->second) << "job " << start.job;
        promised_.erase(promise);
      }
      running_[start.job] = {it->second, start.nodes, now_ + it->second.facts.length};
      waiting_.erase(it);
    }
    if (bound_ > 0 && !quick) CheckBounds();
  }

  bool IsLimited(const PlanJob& job) const {
    return std::ranges::find(job.limits, limit_) != job.limits.end();
  }

  // No user has more promises than he may, and who has none of those that are left has reached his bound.
  void CheckBounds() const {
    std::map<JobNumber, std::uint32_t> promised;
    for (const Planner::Promise& promise : planner_.Promises()) ++promised[promise.job % kUsers];
    for (const auto& [user, jobs] : promised) EXPECT_LE(jobs, bound_) << "user " << user;
    for (const auto& [id, job] : waiting_) {
      if (planner_.PromiseOf(id) || IsLimited(job)) continue;
      bool reached = planner_.Promises().size() >= planner_.policy().rules().reservations;
      EXPECT_TRUE(reached || promised[id % kUsers] == bound_) << "job " << id << " is promised nothing";
    }
  }

  struct Running {
    PlanJob job;
    Placement nodes;
    Instant end;
  };

  // What is free on a node at a time, from the lists alone.
  Vec FreeAt(NodeNumber node, Instant at) const {
    Vec free = planner_.cluster().Total(node);
    for (const auto& [id, running] : running_) {
      if (running.end <= at) continue;
      for (const NodeShare& share : running.nodes) {
        if (share.node == node) free -= TakenOn(running.job.request, share);
      }
    }
    for (const Planner::Promise& promise : planner_.Promises()) {
      const PlanJob& job = waiting_.at(promise.job);
      if (at < promise.start || at >= promise.start + job.facts.length) continue;
      for (const NodeShare& share : *promise.nodes) {
        if (share.node == node) free -= TakenOn(job.request, share);
      }
    }
    return free;
  }
  bool FitsOn(NodeNumber node, const Vec& need, Instant from, Instant to) const {
    for (Instant t = from; t < to; ++t) {
      if (!FreeAt(node, t).Holds(need)) return false;
    }
    return true;
  }
  bool OracleAllows(const PlanJob& job) const {
    std::int64_t limited = 0;
    for (const auto& [id, running] : running_) limited += IsLimited(running.job) ? 1 : 0;
    if (IsLimited(job) && limited >= kLimited) return false;
    for (Instant t = now_; t < now_ + job.facts.length; ++t) {
      std::int64_t left = kLicences;
      for (const auto& [id, running] : running_)
        left -= running.end > t ? running.job.request.licences[kCores] : 0;
      for (const Planner::Promise& promise : planner_.Promises()) {
        const PlanJob& planned = waiting_.at(promise.job);
        bool then = t >= promise.start && t < promise.start + planned.facts.length;
        left -= then ? planned.request.licences[kCores] : 0;
      }
      if (left < job.request.licences[kCores]) return false;
    }
    return true;
  }
  bool OracleFitsNow(const PlanJob& job) const {
    if (!OracleAllows(job)) return false;
    std::uint32_t nodes = 0, tasks = 0;
    for (NodeNumber node = 0; node < planner_.cluster().size(); ++node) {
      if (!planner_.cluster().SetOf(job.request.where).Has(node)) continue;
      std::uint32_t here = 0;
      auto need = [&](std::uint32_t n) { return TakenOn(job.request, {node, n}); };
      if (job.request.tasks == 0) {
        nodes += FitsOn(node, job.request.node, now_, now_ + job.facts.length) ? 1 : 0;
        continue;
      }
      while (here < job.request.tasks && FitsOn(node, need(here + 1), now_, now_ + job.facts.length)) ++here;
      tasks += here;
    }
    return job.request.tasks == 0 ? nodes >= job.request.nodes_min : tasks >= job.request.tasks;
  }

  void Check() {
    for (NodeNumber node = 0; node < planner_.cluster().size(); ++node) {
      for (Instant t = now_; t < now_ + 100; ++t) {
        for (std::int64_t left : FreeAt(node, t).at) EXPECT_GE(left, 0) << "double allocation at " << t;
      }
    }
    for (const Planner::Promise& promise : planner_.Promises()) {
      if (IsLimited(waiting_.at(promise.job))) continue;  // a limit that is reached takes the promise back
      auto [known, first] = promised_.try_emplace(promise.job, promise.start);
      EXPECT_LE(promise.start, known->second) << "the reservation of job " << promise.job << " was delayed";
      known->second = promise.start;
      EXPECT_GT(promise.start, now_);
    }
    for (const auto& [id, job] : waiting_) {
      if (planner_.PromiseOf(id)) continue;
      EXPECT_FALSE(OracleFitsNow(job)) << policy_ << ": job " << id << " fits but was not started";
    }
    EXPECT_EQ(planner_.statistics().promises_broken, 0U);
  }

  void Drain() {
    for (int i = 0; i < 3000 && !(waiting_.empty() && running_.empty()); ++i) {
      planner_.Advance(++now_);
      EndThoseDue();
      Pass();
    }
    EXPECT_TRUE(waiting_.empty()) << "a job that could run never did";
  }

  static constexpr std::int64_t kLimited = 2, kLicences = 3;
  static constexpr std::uint32_t kUsers = 3;
  std::mt19937 random_;
  std::uint32_t bound_;
  std::vector<std::uint32_t> bounds_;  // by user
  std::uint32_t limit_ = 0;
  std::string policy_;
  Planner planner_;
  Instant now_ = 0;
  JobNumber next_ = 1;
  std::map<JobNumber, PlanJob> waiting_;
  std::map<JobNumber, Running> running_;
  std::map<JobNumber, Instant> promised_;
};

TEST(Planner, KeepsPromisesWastesNothingAndAllotsNothingTwice) {
  const char* more = std::getenv("SLIPWAY_TEST_FULL");
  const std::uint32_t kSeeds = more != nullptr && more[0] != '\0' ? 3000 : 60;
  std::uint64_t passes = 0, plans = 0, quick = 0;
  for (const char* policy : {"easy", "easy:3", "easy-sjbf", "conservative", "multifactor", "multifactor:2"}) {
    for (std::uint32_t seed = 1; seed <= kSeeds; ++seed) {
      SCOPED_TRACE(testing::Message() << policy << " seed " << seed);
      Life life(seed, policy);
      life.Run(60);
      if (HasFailure()) return;
      passes += life.statistics().passes;
      plans += life.statistics().plans;
      quick += life.statistics().quick_passes;
    }
  }
  EXPECT_GT(passes, 10'000U);  // the lives were worth it
  EXPECT_GT(plans, 3'000U);
  EXPECT_GT(quick, 2'000U);
}

TEST(Planner, KeepsTheSameWithBoundsOnWhatOneUserIsPromised) {
  const char* more = std::getenv("SLIPWAY_TEST_FULL");
  const std::uint32_t kSeeds = more != nullptr && more[0] != '\0' ? 3000 : 60;
  std::uint64_t plans = 0, quick = 0;
  for (const char* policy : {"easy:5", "conservative", "multifactor:3"}) {
    for (std::uint32_t seed = 1; seed <= kSeeds; ++seed) {
      SCOPED_TRACE(testing::Message() << policy << " seed " << seed);
      Life life(seed, policy, 1 + seed % 2);
      life.Run(60);
      if (HasFailure()) return;
      plans += life.statistics().plans;
      quick += life.statistics().quick_passes;
    }
  }
  EXPECT_GT(plans, 2'000U);  // the lives were worth it
  EXPECT_GT(quick, 500U);
}

// A planned job that starts on other nodes than were held for it leaves those to jobs that were looked at
// before.
TEST(Planner, SeedsThatFoundSomethingOnce) { Life(710, "multifactor").Run(60); }

}  // namespace
}  // namespace slipway::plan
