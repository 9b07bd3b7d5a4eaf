// SPDX-License-Identifier: Apache-2.0
#include "agent/meter/meter_book.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

using std::chrono::seconds;

constexpr StepId kFirst{1, 1, 0}, kSecond{2, 1, 0};

TEST(MeterBook, AStepThatHadTheNodeToItselfHasAllOfItsEnergy) {
  MeterBook book;
  book.Began(kFirst, {}, {5'000'000, 100});
  MeteredUse use = book.Ended(kFirst, 1, {12'000'000, 1000});
  EXPECT_EQ(use.node_energy_mj, 7000U);
  EXPECT_EQ(use.energy_mj, 7000U) << "idle cores were kept for it";
  EXPECT_TRUE(book.empty());
}

TEST(MeterBook, OfASharedNodeAStepHasItsPartOfTheTimeThatProcessorsWorked) {
  MeterBook book;
  book.Began(kFirst, {}, {0, 0});
  book.Began(kSecond, {}, {1'000'000, 100});
  EXPECT_EQ(book.Ended(kFirst, 300, {10'000'000, 1000}).energy_mj, 3000U);
  MeteredUse second = book.Ended(kSecond, 900, {11'000'000, 1000});
  EXPECT_EQ(second.node_energy_mj, 10'000U);
  EXPECT_EQ(second.energy_mj, 10'000U) << "all of what worked: the first one's time counts no more than once";
}

TEST(MeterBook, NoStepHasMoreThanTheNodeUsed) {
  MeterBook book;
  book.Began(kFirst, {}, {0, 0});
  book.Began(kSecond, {}, {0, 0});
  EXPECT_EQ(book.Ended(kFirst, 5000, {1'000'000, 1000}).energy_mj, 1000U);
}

TEST(MeterBook, WhatTheNodeDoesNotCountIsNotMadeUp) {
  MeterBook book;
  book.Began(kFirst, {}, {});
  EXPECT_EQ(book.Ended(kFirst, 5000, {1'000'000, 1000}), MeteredUse());
  book.Began(kFirst, {}, {5, 0});
  book.Began(kSecond, {}, {5, {}});
  EXPECT_EQ(book.Ended(kSecond, 5, {5'000'005, {}}).energy_mj, 0U) << "whose it was is not known";
  EXPECT_EQ(book.Ended({3, 1, 0}, 5, {}), MeteredUse()) << "never began";
}

TEST(MeterBook, GpusAreCountedWhileTheyAreSeenToWork) {
  MeterBook book;
  book.Began(kFirst, {"GPU-1", "GPU-2"}, {});
  book.Began(kSecond, {"GPU-3"}, {});
  MonotonicTime t{};
  book.Saw({"GPU-1", 100, 10, 5000}, t);
  book.Saw({"GPU-2", 0, 20, 100}, t);
  book.Saw({"GPU-1", 50, 30, 5600}, t + seconds(2));
  book.Saw({"GPU-2", 100, 5, 400}, t + seconds(2));
  book.Saw({"GPU-3", 100, 7, 1}, t + seconds(2));
  MeteredUse use = book.Ended(kFirst, 0, {});
  EXPECT_EQ(use.gpu_watched_us, 4'000'000U);
  EXPECT_EQ(use.gpu_busy_us, 3'000'000U);
  EXPECT_EQ(use.gpu_memory_peak_bytes, 50U) << "30 on one and 20 on the other";
  EXPECT_EQ(use.gpu_energy_mj, 900U);
  EXPECT_TRUE(book.any_gpus());
  EXPECT_EQ(book.Ended(kSecond, 0, {}).gpu_watched_us, 0U) << "one look is no time";
}

TEST(MeterBook, APauseOfTheDriverIsNotCountedAndItsNewCounterIsNoLoss) {
  MeterBook book;
  book.Began(kFirst, {"GPU-1"}, {});
  MonotonicTime t{};
  book.Saw({"GPU-1", 100, 1, 5000}, t);
  book.Saw({"GPU-1", 100, 1, 5100}, t + MeterBook::kLongestLook + seconds(1));
  book.Saw({"GPU-1", 100, 1, 7}, t + MeterBook::kLongestLook + seconds(2));
  book.Saw({"GPU-1", {}, {}, 17}, t + MeterBook::kLongestLook + seconds(3));
  MeteredUse use = book.Ended(kFirst, 0, {});
  EXPECT_EQ(use.gpu_watched_us, 1'000'000U);
  EXPECT_EQ(use.gpu_energy_mj, 110U);
}

}  // namespace
}  // namespace slipway
