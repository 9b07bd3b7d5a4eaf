// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/fence_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/loop/sim_loop.h"

namespace slipway {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FenceWatchTest : public ::testing::Test {
 protected:
  FenceWatch Watch(int limit_s) {
    return FenceWatch(loop_,
                      {.node = 0,
                       .nodes = {"n0", "n1", "n2"},
                       .limit = std::chrono::seconds(limit_s),
                       .ask =
                           [this](std::uint32_t node, Service, std::string data, Exchange::Reply reply) {
                             EXPECT_EQ(Decode<FenceName>(data, "fence")->number, 4u);
                             if (auto at = states_.find(node); at != states_.end()) reply(Encode(at->second));
                           },
                       .fail = [this](std::string reason) { failed_.push_back(std::move(reason)); }});
  }
  const FenceName fence_{.members = "all", .nodes = {0, 1, 2}, .number = 4};
  SimLoop loop_;
  std::map<std::uint32_t, FenceState> states_;
  std::vector<std::string> failed_;
};

TEST_F(FenceWatchTest, NamesTheRanksThatAreMissingOnceTheLimitIsOver) {
  states_ = {{1, {.entered = true}}, {2, {.missing = {5}}}};
  FenceWatch watch = Watch(30);
  watch.Began(fence_);
  while (loop_.Step(MonotonicTime(std::chrono::seconds(29)))) {
  }
  EXPECT_THAT(failed_, IsEmpty());
  loop_.Run();
  EXPECT_THAT(failed_, ElementsAre("a fence did not end within 30 s (--mpi-timeout); missing: rank 5 on n2"));
}

TEST_F(FenceWatchTest, NamesNodesThatDoNotAnswerAndRanksOfWhichOneIsMissing) {
  states_ = {{1, {.missing = {2, 3}}}};
  FenceWatch watch = Watch(30);
  watch.Began(fence_);
  loop_.Run();
  EXPECT_THAT(failed_,
              ElementsAre("a fence did not end within 30 s (--mpi-timeout); missing: one of the ranks "
                          "2, 3 on n1; no answer from n2"));
  EXPECT_EQ(loop_.Now(), MonotonicTime(std::chrono::seconds(32)));
}

TEST_F(FenceWatchTest, SaysNothingOfOneThatEndsEvenWhileItAsks) {
  FenceWatch watch = Watch(30);
  std::uint64_t watched = watch.Began(fence_);
  while (loop_.Step(MonotonicTime(std::chrono::seconds(31)))) {
  }
  watch.Ended(watched);
  loop_.Run();
  EXPECT_THAT(failed_, IsEmpty());
}

TEST_F(FenceWatchTest, WatchesNothingWhereNoLimitWasSet) {
  FenceWatch watch = Watch(0);
  EXPECT_EQ(watch.Began(fence_), 0u);
  loop_.Run();
  EXPECT_THAT(failed_, IsEmpty());
}

}  // namespace
}  // namespace slipway
