// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/folder_probe.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <latch>
#include <optional>

#include "base/loop/epoll_loop.h"
#include "base/os/fd.h"

namespace slipway {
namespace {

using std::chrono::milliseconds;

class FolderProbeTest : public testing::Test {
 protected:
  // What it said; nullopt: nothing within ten seconds.
  std::optional<std::string> Look(const std::vector<std::string>& folders, milliseconds deadline,
                                  std::function<void(const std::string&)> look = LookAtFolder) {
    std::optional<std::string> said;
    auto begun = probe_.Begin(
        folders, deadline,
        [&](std::string silent) {
          said = std::move(silent);
          loop_->Stop();
        },
        std::move(look));
    EXPECT_TRUE(begun);
    auto late = loop_->After(std::chrono::seconds(10), [&] { loop_->Stop(); });
    loop_->Run();
    loop_->Cancel(late);
    return said;
  }
  std::unique_ptr<EpollLoop> loop_ = std::move(*EpollLoop::Make());
  FolderProbe probe_{*loop_};
};

TEST_F(FolderProbeTest, WhatAnswersIsWellWhateverItSays) {
  EXPECT_EQ(Look({"/tmp", "/does/not/exist", "/root"}, std::chrono::seconds(9)), "");
  EXPECT_EQ(Look({}, std::chrono::seconds(9)), "");
}

TEST_F(FolderProbeTest, TheOneThatDoesNotAnswerIsNamed) {
  auto never = std::make_shared<std::latch>(1);
  auto look = [never](const std::string& folder) {
    if (folder == "/b") never->wait();
  };
  EXPECT_EQ(Look({"/a", "/b", "/c"}, milliseconds(50), look), "/b");
  EXPECT_EQ(Look({"/a"}, std::chrono::seconds(9), look), "") << "the lost thread is in nobody's way";
  never->count_down();
}

TEST_F(FolderProbeTest, AFuseServerThatIsStoppedIsNoticed) {
  std::string folder = *MakeTempDirectory("/tmp", "slipway-silent-");
  auto fuse = Open("/dev/fuse", O_RDWR);
  std::string options =
      fuse ? Cat("fd=", fuse->get(), ",rootmode=40000,user_id=", ::getuid(), ",group_id=", ::getgid()) : "";
  bool mounted = fuse && ::mount("silent", folder.c_str(), "fuse.silent", 0, options.c_str()) == 0;
  if (!mounted) {
    ::rmdir(folder.c_str());
    GTEST_SKIP() << "no FUSE file system may be mounted here";
  }
  EXPECT_EQ(Look({folder}, milliseconds(100)), folder);
  fuse->reset();  // lets the thread go
  ::umount2(folder.c_str(), MNT_DETACH);
  ::rmdir(folder.c_str());
}

TEST(FoldersOf, AreThoseThatAStepNeedsEachOnce) {
  StepSpec spec;
  spec.home = "/home/alice";
  spec.cwd = "/scratch/alice";
  spec.stdout_path = "logs/out";
  spec.stderr_path = "/home/alice/err";
  spec.mounts = {{.type = Mount::kBind, .source = "/data", .target = "/data"},
                 {.type = Mount::kTmpfs, .target = "/x"}};
  EXPECT_EQ(FoldersOf(spec),
            (std::vector<std::string>{"/home/alice", "/scratch/alice", "/scratch/alice/logs", "/data"}));
}

}  // namespace
}  // namespace slipway
