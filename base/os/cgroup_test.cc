// SPDX-License-Identifier: Apache-2.0
#include "base/os/cgroup.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

// The kernel's two files, played by ordinary ones; the real ones are in tests/vm.
TEST(CgroupControllers, AreHandedDownWhereTheyAreHereAndWanted) {
  std::string folder = *MakeTempDirectory("/tmp", "slipway-cgroup-");
  for (const char* here : {"cpuset io memory pids rdma\n", "memory"}) {
    ASSERT_TRUE(WriteFileAtomically(folder + "/cgroup.controllers", here));
    ASSERT_TRUE(WriteFileAtomically(folder + "/cgroup.subtree_control", ""));
    EnableControllers(folder, {"cpu", "pids", "cpuset", "hugetlb"});
    EXPECT_EQ(*ReadFile(folder + "/cgroup.subtree_control"), here[0] == 'c' ? "+pids +cpuset " : "");
  }
  ASSERT_TRUE(RemoveTree(folder));
}

}  // namespace
}  // namespace slipway
