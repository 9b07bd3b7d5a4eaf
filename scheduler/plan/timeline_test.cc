// SPDX-License-Identifier: Apache-2.0
// The step function against one that keeps every second.
#include "scheduler/plan/timeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace slipway::plan {
namespace {

constexpr Instant kHorizon = 200;

Vec Of(std::int64_t cores, std::int64_t memory = 0) {
  Vec vec;
  vec[kCores] = cores;
  vec[kMemory] = memory;
  return vec;
}

struct EverySecond {
  std::vector<Vec> free = std::vector<Vec>(kHorizon + 1, Of(10, 20));
  void Add(const Vec& what, Instant from, Instant to, int sign) {
    for (Instant t = std::max<Instant>(from, 0); t <= kHorizon; ++t) {
      if (t < to)
        sign > 0 ? free[static_cast<std::size_t>(t)] += what : free[static_cast<std::size_t>(t)] -= what;
    }
  }
  bool Fits(const Vec& need, Instant from, Instant to) const {
    for (Instant t = from; t <= kHorizon; ++t) {
      if (t < to && !free[static_cast<std::size_t>(t)].Holds(need)) return false;
    }
    return true;
  }
  Instant Earliest(const Vec& need, Instant from, Instant length) const {
    for (Instant t = from; t <= kHorizon; ++t) {
      if (Fits(need, t, t + length)) return t;
    }
    return kNever;
  }
};

TEST(Timeline, IsTheSameAsKeepingEverySecond) {
  std::mt19937 random(1);
  auto below = [&](std::uint32_t n) { return static_cast<Instant>(random() % n); };
  for (int round = 0; round < 300; ++round) {
    Timeline line(Of(10, 20));
    EverySecond naive;
    struct Taken {
      Vec what;
      Instant from, to;
      bool operator==(const Taken&) const = default;
    };
    std::vector<Taken> taken;
    Instant now = 0;
    for (int step = 0; step < 40; ++step) {
      if (below(5) == 0) now += below(4);
      if (!taken.empty() && below(3) == 0) {
        Taken back = taken[static_cast<std::size_t>(below(static_cast<std::uint32_t>(taken.size())))];
        std::erase(taken, back);
        line.Give(back.what, std::max(back.from, now), back.to);
        naive.Add(back.what, std::max(back.from, now), back.to, +1);
      } else {
        Instant from = now + below(20), to = below(8) == 0 ? kNever : from + 1 + below(20);
        Taken take{Of(1 + below(6), below(9)), from, to};
        if (std::ranges::find(taken, take) != taken.end()) continue;
        ++line.holds;  // the general case: what is free may shrink
        taken.push_back(take);
        line.Take(take.what, from, to);
        naive.Add(take.what, from, to, -1);
      }
      Vec need = Of(1 + below(8), below(15));
      Instant from = now + below(10), length = 1 + below(20);
      EXPECT_EQ(line.Fits(need, from, from + length), naive.Fits(need, from, from + length));
      EXPECT_EQ(line.Earliest(need, from, length), naive.Earliest(need, from, length));
      line.Advance(now);
      EXPECT_EQ(line.Now(), naive.free[static_cast<std::size_t>(now)]);
    }
  }
}

TEST(Timeline, WithOnlyRunningJobsTheFirstFitIsFoundByHalving) {
  Timeline line(Of(8));
  for (Instant end = 1; end <= 8; ++end) line.Take(Of(1), 0, end * 10);
  for (std::int64_t cores = 1; cores <= 8; ++cores) EXPECT_EQ(line.Earliest(Of(cores), 0, 1000), cores * 10);
  EXPECT_EQ(line.Earliest(Of(9), 0, 1), kNever);
}

TEST(Timeline, ForgetsThePast) {
  Timeline line(Of(8));
  for (Instant i = 0; i < 10'000; ++i) {
    line.Advance(i);
    line.Take(Of(1), i, i + 3);
  }
  EXPECT_LE(line.size(), 5U);
}

}  // namespace
}  // namespace slipway::plan
