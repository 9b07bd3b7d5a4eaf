// SPDX-License-Identifier: Apache-2.0
#include "base/os/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/os/fd.h"

namespace slipway {
namespace {

class InstalledPrograms : public ::testing::Test {
 protected:
  void SetUp() override { dir_ = *MakeTempDirectory("/tmp", "slipway-program-"); }
  void TearDown() override { ASSERT_TRUE(RemoveTree(dir_)); }
  void Install(const std::string& path) {
    std::string whole = Cat(dir_, "/", path);
    ASSERT_TRUE(MakeDirectories(whole.substr(0, whole.rfind('/'))));
    ASSERT_TRUE(WriteFileAtomically(whole, "#!/bin/sh\n"));
    ASSERT_EQ(::chmod(whole.c_str(), 0755), 0);
  }
  std::string dir_;
};

// /usr/bin/slipway hands over to /usr/libexec/slipway/slipway-remote, which starts /usr/sbin/slipwayd.
TEST_F(InstalledPrograms, FindOneAnotherWhereverPackagesPutThem) {
  for (const char* path :
       {"bin/slipway", "sbin/slipwayd", "libexec/slipway/slipway-remote", "libexec/slipway/slipway-scope"})
    Install(path);
  std::string front = dir_ + "/bin/slipway", remote = dir_ + "/libexec/slipway/slipway-remote";
  EXPECT_EQ(FindBeside(front, "slipway-remote").value_or(""),
            dir_ + "/bin/../libexec/slipway/slipway-remote");
  EXPECT_EQ(FindBeside(remote, "slipway-scope").value_or(""), dir_ + "/libexec/slipway/slipway-scope");
  EXPECT_EQ(FindBeside(remote, "slipway").value_or(""), dir_ + "/libexec/slipway/../../bin/slipway");
  EXPECT_EQ(FindBeside(remote, "slipwayd").value_or(""), dir_ + "/libexec/slipway/../../sbin/slipwayd");
}

TEST_F(InstalledPrograms, AreLookedForInNoOtherFolder) {
  Install("bin/slipway");
  Install("opt/bin/slipway-remote");
  auto found = FindBeside(dir_ + "/opt/bin/slipway-remote", "slipway");
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, testing::HasSubstr("slipway is not installed: neither in "));
  EXPECT_FALSE(FindBeside("slipway-remote", "slipway"));  // by a search of PATH: who knows where
}

}  // namespace
}  // namespace slipway
