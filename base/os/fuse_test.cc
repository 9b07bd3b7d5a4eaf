// SPDX-License-Identifier: Apache-2.0
#include "base/os/fuse.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>

#include "base/os/lingering.h"
#include "base/os/process.h"
#include "base/os/testdata/deaf_fuse.h"

namespace slipway {
namespace {

TEST(Fuse, ConnectionsAreTheMinorNumbersOfFuseMountsAlone) {
  EXPECT_EQ(FuseConnectionsIn("36 35 0:45 / /image ro,nosuid - fuse.squashfuse squashfuse ro,user_id=1\n"
                              "37 35 0:46 / /home rw shared:3 - fuse sshfs rw\n"
                              "38 35 0:47 / /sys/fs/fuse/connections rw - fusectl none rw\n"
                              "39 35 8:1 / /disk rw - fuseblk /dev/sda1 rw\n"
                              "40 35 0:48 / /a\\040-\\040fuse rw - tmpfs t rw\n"
                              "41 35 0:99999999999 / /x rw - fuse x rw\n"
                              "42 - fuse"),
            (std::set<std::uint32_t>{45, 46}));
  EXPECT_TRUE(FuseConnectionsIn("").empty());
}

// A server that waits for itself, in a user namespace as a container's; root maps another user into it.
class DeafServer : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = MakeTempDirectory("/tmp", "slipway-fuse-").value();
    ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
    uid_ = ::geteuid() == 0 ? 20001 : ::geteuid();
    PipeEnds mapped = MakePipe().value(), asked = MakePipe().value();
    auto made = Clone3({.flags = CLONE_NEWUSER | CLONE_NEWNS});
    if (!made) GTEST_SKIP() << made.error().message;
    server_ = std::move(*made);
    char word = 'x';
    if (!server_) {
      if (::read(mapped.read.get(), &word, 1) != 1) ::_exit(1);
      if (::setresgid(0, 0, 0) < 0 || ::setresuid(0, 0, 0) < 0) ::_exit(6);
      if (::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) < 0) ::_exit(2);
      AnswerNobody(folder_, Asker::kOurselves,
                   [&] { [[maybe_unused]] auto n = ::write(asked.write.get(), &word, 1); });
    }
    std::string proc = Cat("/proc/", server_.pid());
    ASSERT_TRUE(WriteInto(proc + "/setgroups", "deny"));
    ASSERT_TRUE(WriteInto(proc + "/uid_map", Cat("0 ", uid_, " 1")));
    ASSERT_TRUE(WriteInto(proc + "/gid_map", Cat("0 ", ::geteuid() == 0 ? 20001 : ::getegid(), " 1")));
    asked.write.reset();
    ASSERT_EQ(::write(mapped.write.get(), &word, 1), 1);
    if (::read(asked.read.get(), &word, 1) != 1) GTEST_SKIP() << "no FUSE in a user namespace here";
    ready_ = true;
  }
  void TearDown() override {
    if (server_) {
      [[maybe_unused]] auto killed = server_.Signal(SIGKILL);
      if (ready_) AbortFuseOf({server_.pid()}, uid_);
      EXPECT_TRUE(server_.Wait());
    }
    EXPECT_TRUE(RemoveTree(folder_));
  }
  bool Ends(int timeout_ms) {
    pollfd watched{server_.pidfd(), POLLIN, 0};
    return ::poll(&watched, 1, timeout_ms) == 1;
  }
  std::string folder_;
  uid_t uid_ = 0;
  bool ready_ = false;
  Process server_;
};

TEST_F(DeafServer, OutlivesSigkillAndEndsOnceItsConnectionIsAborted) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: an unprivileged fusectl is the host's to mount";
  ASSERT_TRUE(server_.Signal(SIGKILL));
  // The thread that asks is past every signal now; how long that is looked at changes nothing.
  std::string what;
  for (int tries = 0; tries < 10'000 && what.find("state D") == what.npos; ++tries) {
    what = WhatHolds({server_.pid()});
    ::usleep(1000);
  }
  EXPECT_NE(what.find("state D"), what.npos) << what;
  EXPECT_NE(what.find(std::to_string(server_.pid())), what.npos) << what;
  EXPECT_FALSE(Ends(100));
  EXPECT_EQ(AbortFuseOf({server_.pid()}, uid_ + 1), 0u) << "another user's connection is not ended";
  EXPECT_EQ(AbortFuseOf({::getpid(), 1}, uid_), 0u) << "nor is one that those processes do not see";
  EXPECT_FALSE(Ends(100));
  EXPECT_EQ(AbortFuseOf({server_.pid()}, uid_), 1u);
  EXPECT_TRUE(Ends(20'000));
}

}  // namespace
}  // namespace slipway
