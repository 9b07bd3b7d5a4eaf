// SPDX-License-Identifier: Apache-2.0
#include "agent/node/gpu_watch.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/loop/epoll_loop.h"
#include "hooks/gpu/testdata/hosts.h"

namespace slipway {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class GpuWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    PutTwoA100(host_);
    devices_ = *FindNodeDevices({.host_root = host_.root()});
    options_.kernel_log = dir_ + "/kmsg";
    options_.program = dir_ + "/none";
    ASSERT_EQ(::mkfifo(options_.kernel_log.c_str(), 0600), 0);
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(dir_)); }
  void Watch() {
    watch_.emplace(
        *loop_, devices_, options_, [this] { return idle_; }, [this] { ++changes_; });
  }
  void Answers(const std::string& json) {
    options_.program = dir_ + "/answers";
    ASSERT_TRUE(WriteFileAtomically(options_.program, Cat("#!/bin/sh\necho '", json, "'\n"), 0755));
    options_.ask_every = std::chrono::seconds(1);
  }
  bool Until(const std::function<bool()>& condition) {
    bool late = false;
    auto timer = loop_->After(std::chrono::seconds(10), [&] { late = true; });
    std::function<void()> again = [&] {
      if (late || condition()) return loop_->Stop();
      again_ = loop_->After(std::chrono::milliseconds(20), again);
    };
    again();
    loop_->Run();
    loop_->Cancel(timer);
    loop_->Cancel(again_);
    return !late;
  }
  FakeHost host_;
  NodeDevices devices_;
  std::string dir_ = *MakeTempDirectory("/tmp", "slipway-gpus-");
  std::unique_ptr<EpollLoop> loop_ = std::move(*EpollLoop::Make());
  Loop::TimerId again_;
  GpuWatchOptions options_;
  std::optional<GpuWatch> watch_;
  bool idle_ = true;
  int changes_ = 0;
};

TEST_F(GpuWatchTest, AFatalXidOfAnOfferedGpuIsNamedUntilTheAgentIsStartedAnew) {
  Watch();
  EXPECT_THAT(watch_->Findings(), IsEmpty());
  UniqueFd log = *Open(options_.kernel_log, O_WRONLY | O_NONBLOCK);
  ASSERT_TRUE(WriteAll(log.get(), "3,9,9,-;NVRM: Xid (PCI:0000:47:00): 79, GPU has fallen off the bus.\n"));
  EXPECT_THAT(watch_->Findings(),
              ElementsAre("GPU 0000:47:00.0: Xid 79, it has fallen off the bus; it needs a "
                          "reset or a reboot"));
  ASSERT_TRUE(WriteAll(log.get(), "3,10,10,-;NVRM: Xid (PCI:0000:ff:00): 79, somebody else's.\n"));
  EXPECT_EQ(watch_->Findings().size(), 1U);
}

TEST_F(GpuWatchTest, ALogThatCannotBeReadIsNoFault) {
  options_.kernel_log = dir_ + "/none";
  Watch();
  EXPECT_THAT(watch_->Findings(), IsEmpty());
}

TEST_F(GpuWatchTest, WhatTheDriverSaysLaterIsLearned) {
  Answers(R"({"gpus": [], "faulty": [{"pci": "0000:47:00.0", "fault": "3 uncorrectable memory errors"}]})");
  Watch();
  EXPECT_THAT(watch_->Findings(), IsEmpty()) << "not asked yet";
  EXPECT_TRUE(Until([&] { return !watch_->Findings().empty(); }));
  EXPECT_THAT(watch_->Findings(), ElementsAre("GPU 0000:47:00.0: 3 uncorrectable memory errors"));
}

TEST_F(GpuWatchTest, OtherGpusAreTakenOverOnceNothingRuns) {
  idle_ = false;
  Watch();
  host_.File("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  999.1  x\n");
  EXPECT_THAT(watch_->Findings(), Contains(HasSubstr("are found anew once nothing runs here")));
  idle_ = true;
  EXPECT_THAT(watch_->Findings(), Contains(HasSubstr("are found anew")));
  EXPECT_FALSE(watch_->Findings().empty());
  EXPECT_TRUE(Until([&] { return changes_ > 0; }));
  EXPECT_EQ(changes_, 1);
}

TEST(FaultsIn, AnAnswerThatIsNoneIsRefused) {
  for (const char* text : {"", "no GPU on this host", "[]", "{}", R"({"faulty": 1})", R"({"faulty": [1]})",
                           R"({"faulty": [{"pci": 1}]})"})
    EXPECT_FALSE(FaultsIn(text)) << text;
  EXPECT_THAT(*FaultsIn(R"({"faulty": []})"), IsEmpty());
}

}  // namespace
}  // namespace slipway
