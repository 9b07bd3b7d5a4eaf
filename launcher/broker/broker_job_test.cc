// SPDX-License-Identifier: Apache-2.0
// What the steps of a job share on a node, and that it goes with the job.
#include <gtest/gtest.h>

#include "launcher/broker/testdata/real_broker.h"

namespace slipway {
namespace {

struct JobFolders : RealBroker {
  std::string Tmp(const StepId& job) { return JobFolder(conf.run_dir, job) + kJobTmp; }
  std::string Shm(const StepId& job) { return JobFolder(conf.run_dir, job) + kJobShm; }
  void Started(const StepId& step) {
    Reply reply = Start(Credential(step));
    ASSERT_EQ(reply.kind, BrokerFrame::kStarted) << reply.message();
    Line(step, "init escape ");
  }
  std::string Does(const StepId& step, const std::string& what) {
    Tell(step, "tell " + what);
    return Line(step, Cat("init ", what, ": "));
  }
};

TEST_F(JobFolders, AJobsTmpIsAsLargeAsAskedSharedByItsStepsAndGoneWithIt) {
  room = {1 << 20, 64 << 10};
  StepId first{1, 1, 0}, second{1, 1, 1}, other{2, 1, 0};
  Started(first);
  EXPECT_EQ(Does(first, "fill " + Tmp(first) + "/a"), "256 ENOSPC");
  EXPECT_EQ(Does(first, "fill " + Shm(first) + "/b"), "16 ENOSPC");
  // The next broker finds it, and a step that asks for less does not make it anew.
  End(broker, SIGKILL);
  StartBroker();
  room = {4096, 4096};
  Started(second);
  EXPECT_EQ(Does(second, "read " + Tmp(first) + "/a"), "1048576 bytes");
  Started(other);
  EXPECT_EQ(Does(other, "read " + Tmp(other) + "/a"), "ENOENT");
  EXPECT_NE(::access((Tmp(first) + "/a").c_str(), F_OK), 0) << "it is not in the host's mounts";
  for (const StepId& step : {first, second}) ASSERT_EQ(Ask(BrokerFrame::kKillStep, step), Code::kOk);
  ASSERT_EQ(Ask(BrokerFrame::kEndJob, first), Code::kOk);
  EXPECT_NE(::access(JobFolder(conf.run_dir, first).c_str(), F_OK), 0);
  EXPECT_EQ(Does(other, "fill " + Tmp(other) + "/c"), "1 ENOSPC") << "another job keeps its own";
}

TEST_F(JobFolders, AJobThatAsksForNoneHasNone) {
  Started({1, 1, 0});
  EXPECT_NE(::access(Tmp({1, 1, 0}).c_str(), F_OK), 0);
}

TEST_F(JobFolders, AFailedFirstStepLeavesNone) {
  room = {1 << 20, 0};
  ASSERT_EQ(::rename((dir + "/stepd").c_str(), (dir + "/away").c_str()), 0);
  EXPECT_NE(Start(Credential({1, 1, 0})).code(), Code::kOk);
  EXPECT_NE(::access(JobFolder(conf.run_dir, {1, 1, 0}).c_str(), F_OK), 0);
}

}  // namespace
}  // namespace slipway
