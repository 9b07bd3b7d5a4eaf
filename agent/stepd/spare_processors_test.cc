// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/spare_processors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/os/fd.h"

namespace slipway {
namespace {

using ::testing::ElementsAre;

TEST(SpareProcessors, AreNobodysAndComeBack) {
  SpareProcessors spare({0, 4, 1, 5, 2, 6}, {{0, 4}});
  EXPECT_THAT(spare.Lend(1), ElementsAre(1, 5));
  EXPECT_THAT(spare.Lend(2), ElementsAre(2, 6));
  EXPECT_THAT(spare.Lend(3), ElementsAre(0, 1, 2, 4, 5, 6));  // none left
  spare.Return(1);
  spare.Return(3);
  EXPECT_THAT(spare.Lend(4), ElementsAre(1, 5));
}

TEST(SpareProcessors, AreAllOfThemWhereRanksAreNotBound) {
  SpareProcessors spare({3, 4}, {});
  EXPECT_THAT(spare.Lend(1), ElementsAre(3, 4));
  EXPECT_THAT(spare.Lend(2), ElementsAre(3, 4));
}

TEST(SpareProcessors, StandByCore) {
  std::string dir = *MakeTempDirectory("/tmp", "spare-");
  for (int cpu : {0, 1, 2, 3}) {
    std::string topology = dir + "/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology";
    ASSERT_TRUE(MakeDirectories(topology, 0755));
    ASSERT_TRUE(WriteFileAtomically(topology + "/core_cpus_list", cpu % 2 == 0 ? "0,2\n" : "1,3\n"));
  }
  EXPECT_THAT(ByCore({0, 1, 2, 3, 9}, dir.c_str()), ElementsAre(0, 2, 1, 3, 9));
  ASSERT_TRUE(RemoveTree(dir));
}

}  // namespace
}  // namespace slipway
