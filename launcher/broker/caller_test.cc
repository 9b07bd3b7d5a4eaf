// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/caller.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

constexpr const char* kOurs = "9:name=systemd:/\n4:memory:/node\n0::/system.slice/broker\n";

TEST(CallersCgroup, IsFollowedInVersionTwoAndOnlyThere) {
  EXPECT_EQ(*FollowableCgroup("0::/user.slice/u1\n", "0::/system.slice/broker\n"), "/user.slice/u1");
  EXPECT_EQ(*FollowableCgroup("9:name=systemd:/user\n4:memory:/node\n0::/u\n", kOurs), "/u");
  EXPECT_FALSE(FollowableCgroup("4:memory:/job7\n0::/u\n", kOurs)) << "a limit would be left behind";
  EXPECT_FALSE(FollowableCgroup("0::/../elsewhere\n", kOurs)) << "outside of our cgroup namespace";
  EXPECT_EQ(*FollowableCgroup("4:memory:/node\n", kOurs), "") << "no cgroup v2 at all";
}

TEST(CallersStatus, RefusesSandboxesAndOtherUsers) {
  auto status = [](const char* uid, const char* no_new_privs, const char* seccomp) {
    return Cat("Name:\tx\nUid:\t", uid, "\nNoNewPrivs:\t", no_new_privs, "\nSeccomp:\t", seccomp,
               "\nMore:\t1\n");
  };
  UserIds who{1000, 100, {}};
  EXPECT_TRUE(JudgeStatus(status("1000\t1000\t1000\t1000", "0", "0"), who));
  EXPECT_FALSE(JudgeStatus(status("1000\t0\t1000\t1000", "0", "0"), who));
  EXPECT_FALSE(JudgeStatus(status("1001\t1001\t1001\t1001", "0", "0"), who));
  EXPECT_FALSE(JudgeStatus(status("1000\t1000\t1000\t1000", "1", "0"), who));
  EXPECT_FALSE(JudgeStatus(status("1000\t1000\t1000\t1000", "0", "2"), who));
  EXPECT_FALSE(JudgeStatus("Name:\tx\nUid:\t1000\t1000\t1000\t1000\n", who)) << "what is not said is not so";
}

}  // namespace
}  // namespace slipway
