// SPDX-License-Identifier: Apache-2.0
#include "agent/images/image_cache.h"

#include <gtest/gtest.h>

#include "base/crypto/crypto.h"

namespace slipway {
namespace {

const std::string kA = DigestOf("a"), kB = DigestOf("b"), kC = DigestOf("c");

TEST(ImageCache, WhatWasUsedLongestAgoGoesFirst) {
  ImageCache cache(100);
  cache.Hold(kA, 40, 1);
  cache.Hold(kB, 40, 2);
  cache.Use(kA, 3);
  EXPECT_EQ(cache.Candidates({}), (std::vector<std::string>{kB, kA}));
  EXPECT_EQ(cache.Candidates({kB}), (std::vector<std::string>{kA}));
}

TEST(ImageCache, ExcessIsWhatIsBeyondTheBound) {
  ImageCache cache(100);
  cache.Hold(kA, 40, 1);
  EXPECT_EQ(cache.Excess(60), 0U);
  EXPECT_EQ(cache.Excess(61), 1U);
  cache.Drop(kA);
  EXPECT_EQ(cache.Excess(100), 0U);
}

TEST(ImageCache, ItsMemoryOutlivesItAndTheListOfTheStoreCounts) {
  ImageCache before(100);
  before.Hold(kA, 40, 5);
  before.Hold(kB, 30, 4);
  ImageCache after(100);
  after.Decode(before.Encode());
  after.Reconcile({{kA, 40, 3}, {kC, 0, 0}});
  EXPECT_EQ(after.bytes(), 40U);
  EXPECT_EQ(after.Candidates({}), (std::vector<std::string>{kC, kA}));
  after.Learn(kC, 7);
  EXPECT_EQ(after.bytes(), 47U);
}

TEST(ImageCache, WhatCameWithoutUsCountsAndGoesByItsOwnLastUse) {
  ImageCache cache(100);
  cache.Hold(kA, 40, 5);
  cache.Hold(kB, 40, 9);
  cache.Reconcile({{kA, 40, 1}, {kB, 40, 12}, {kC, 30, 7}});
  EXPECT_EQ(cache.Excess(0), 10U);
  EXPECT_EQ(cache.Candidates({}), (std::vector<std::string>{kA, kC, kB}));
  cache.Reconcile({{kC, 30, 7}});
  EXPECT_EQ(cache.bytes(), 30U);
}

TEST(ImageCache, AMemoryThatIsDamagedIsPassedOver) {
  ImageCache cache(100);
  cache.Decode(Cat("rubbish\n", kA, "\n", kA, " x 1\n", kA, " 1 -1\n../../etc 1 1\n", kB, " 5 6\n\0\0", kC));
  EXPECT_EQ(cache.Candidates({}), (std::vector<std::string>{kB}));
}

}  // namespace
}  // namespace slipway
