// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/key_waits.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>

#include "base/loop/sim_loop.h"

namespace slipway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class KeyWaitsTest : public ::testing::Test {
 protected:
  struct Told {
    int times = 0;
    bool there = false;
    MonotonicTime at;
  };
  void Await(Told& told, const std::string& key, std::chrono::nanoseconds limit = seconds(2)) {
    waits_->Await({"w", 1}, key, limit, [this, &told](bool there) {
      ++told.times;
      told.there = there;
      told.at = loop_.Now();
    });
  }
  void RunUntil(std::chrono::nanoseconds when) {
    MonotonicTime until = MonotonicTime{} + when;
    while (loop_.Step(until)) {
    }
  }
  SimLoop loop_;
  std::set<std::string> committed_;
  int asked_ = 0;
  std::optional<KeyWaits> waits_{std::in_place, loop_, [this](const PmixPeer&, const std::string& key) {
                                   ++asked_;
                                   return committed_.contains(key);
                                 }};
};

TEST_F(KeyWaitsTest, AnswersAtOnceWhatIsThere) {
  committed_ = {"k"};
  Told told;
  Await(told, "k");
  EXPECT_EQ(told.times, 1);
  EXPECT_TRUE(told.there);
}

TEST_F(KeyWaitsTest, AnswersAllWhoWaitSoonAfterItHasCome) {
  Told one, two, other;
  Await(one, "k");
  Await(two, "k");
  Await(other, "never");
  RunUntil(milliseconds(500));
  EXPECT_EQ(one.times + two.times, 0);
  committed_ = {"k"};
  RunUntil(milliseconds(750));
  EXPECT_TRUE(one.there && two.there);
  EXPECT_EQ(one.times + two.times, 2);
  EXPECT_EQ(other.times, 0);
}

TEST_F(KeyWaitsTest, SaysThatItHasNotComeWhenTheTimeIsOver) {
  Told patient, hasty;
  Await(patient, "k", seconds(2));
  Await(hasty, "k", milliseconds(300));
  RunUntil(seconds(10));
  EXPECT_EQ(hasty.times, 1);
  EXPECT_FALSE(hasty.there);
  EXPECT_LT(hasty.at - MonotonicTime{}, milliseconds(600));
  EXPECT_EQ(patient.times, 1);
  EXPECT_LT(patient.at - MonotonicTime{}, milliseconds(2300));
  EXPECT_LT(asked_, 40);  // less often as time goes on
}

TEST_F(KeyWaitsTest, IsBoundedWhateverIsAskedFor) {
  std::vector<Told> told(kKeyWaitsMax + 10);
  for (std::size_t i = 0; i < told.size(); ++i) Await(told[i], Cat("k", i));
  for (std::size_t i = 0; i < told.size(); ++i) EXPECT_EQ(told[i].times, i < kKeyWaitsMax ? 0 : 1) << i;
}

TEST_F(KeyWaitsTest, MayBeAskedAgainByWhoHasItsAnswer) {
  Told second;
  waits_->Await({"w", 1}, "k", milliseconds(10), [&](bool) { Await(second, "l"); });
  RunUntil(milliseconds(100));
  committed_ = {"l"};
  RunUntil(seconds(1));
  EXPECT_TRUE(second.there);
}

TEST_F(KeyWaitsTest, IsSilentWhenItIsGone) {
  Told told;
  Await(told, "k");
  waits_.reset();
  committed_ = {"k"};
  RunUntil(seconds(5));
  EXPECT_EQ(told.times, 0);
}

}  // namespace
}  // namespace slipway
