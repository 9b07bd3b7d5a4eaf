// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/host_rules.h"

#include <gtest/gtest.h>

#include "base/os/fd.h"

namespace slipway {
namespace {

TEST(HostRules, AnyOfTheThreeSettingsForbidsNamespacesInsideToo) {
  std::string path = *MakeTempDirectory("/tmp", "slipway-host-rules-");
  ASSERT_TRUE(MakeDirectories(path + "/kernel"));
  ASSERT_TRUE(MakeDirectories(path + "/user"));
  EXPECT_TRUE(UsersMayMakeNamespaces(path));  // a kernel that has none of them
  struct Case {
    const char *file, *value;
    bool allowed;
  };
  for (const Case& one : {Case{"/kernel/unprivileged_userns_clone", "0\n", false},
                          {"/kernel/unprivileged_userns_clone", "1\n", true},
                          {"/user/max_user_namespaces", "0\n", false},
                          {"/user/max_user_namespaces", "96365\n", true},
                          {"/kernel/apparmor_restrict_unprivileged_userns", "1\n", false},
                          {"/kernel/apparmor_restrict_unprivileged_userns", "", false},
                          {"/kernel/apparmor_restrict_unprivileged_userns", "0\n", true}}) {
    ASSERT_TRUE(WriteFileAtomically(path + one.file, one.value));
    EXPECT_EQ(UsersMayMakeNamespaces(path), one.allowed) << one.file << " " << one.value;
  }
  ASSERT_TRUE(RemoveTree(path));
}

}  // namespace
}  // namespace slipway
