// SPDX-License-Identifier: Apache-2.0
#include "base/loop/sim_loop.h"

#include <gtest/gtest.h>

#include <string>

namespace slipway {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

TEST(SimLoop, RunsTasksInTheOrderOfTheirTimesWithoutWaiting) {
  SimLoop loop;
  std::string order;
  loop.After(hours(2), [&] { order += 'c'; });
  loop.Post([&] {
    order += 'a';
    loop.Post([&] { order += 'b'; });
  });
  auto cancelled = loop.After(hours(1), [&] { order += 'x'; });
  loop.Cancel(cancelled);
  loop.Cancel(cancelled);
  loop.Run();
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(loop.Now().time_since_epoch(), hours(2));
}

TEST(SimLoop, StepsUpToATimeAndStops) {
  SimLoop loop;
  int runs = 0;
  loop.After(seconds(5), [&] { ++runs; });
  EXPECT_FALSE(loop.Step(MonotonicTime(seconds(4))));
  EXPECT_EQ(loop.Now(), MonotonicTime(seconds(4)));
  EXPECT_TRUE(loop.Step());
  EXPECT_EQ(runs, 1);
}

TEST(SimLoop, TheWallClockMayJumpWithoutTheOther) {
  SimLoop loop;
  WallTime before = loop.WallNow();
  loop.StepWallClock(-hours(1));
  EXPECT_EQ(loop.WallNow(), before - hours(1));
  EXPECT_EQ(loop.Now(), MonotonicTime());
}

}  // namespace
}  // namespace slipway
