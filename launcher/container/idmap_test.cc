// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/idmap.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

TEST(SubordinateRange, IsTheFirstOfTheUserByNameOrNumber) {
  auto range = SubordinateRange("root:1:2\nalice:100000:65536\nalice:200000:10\n", "alice", 1001);
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 100000u);
  EXPECT_EQ(range->count, 65536u);
  EXPECT_EQ(SubordinateRange("1001:5:6", "", 1001)->first, 5u);
  EXPECT_FALSE(SubordinateRange("bob:1:2\n", "alice", 1001));
  EXPECT_FALSE(SubordinateRange(":1:2\n", "", 1001));
}

TEST(SubordinateRange, PassesOverWhatIsNone) {
  EXPECT_FALSE(
      SubordinateRange("a:1:0\na:x:5\na:1\na:1:5x\na:4294967295:1\na:1:4294967295\na:-1:5\n", "a", 7));
  EXPECT_EQ(SubordinateRange("a:1:0\na:3:4", "a", 7)->first, 3u);
}

}  // namespace
}  // namespace slipway
