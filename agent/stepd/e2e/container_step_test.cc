// SPDX-License-Identifier: Apache-2.0
// stepd with the real container's init (slipway-starter, the rootless way). The image is an empty root into
// which this machine's /usr is bound.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/stepd/step_under_test.h"

namespace slipway {
namespace {

using ::testing::HasSubstr;

class ContainerStep : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = *MakeTempDirectory("/tmp", "stepd-container-");
    for (const char* dir : {"usr", "etc", "dev", "proc", "sys", "tmp", "var/tmp", "run"}) {
      ASSERT_TRUE(MakeDirectories(Cat(dir_, "/root/", dir)));
    }
    for (const char* name : {"bin", "sbin", "lib", "lib64"}) {
      ASSERT_EQ(::symlink(Cat("usr/", name).c_str(), Cat(dir_, "/root/", name).c_str()), 0);
    }
    StepUnderTest probe(Shell("exit 0"), SLIPWAY_STARTER);
    if (!probe.RunToEnd() || probe[0].result->exit_code != 0) {
      GTEST_SKIP() << "no container can be made here: "
                   << (probe[0].result ? probe[0].result->reason : "no answer");
    }
  }
  void TearDown() override { (void)RemoveTree(dir_); }
  StepSpec Shell(const std::string& command, std::uint32_t ranks = 1) {
    StepSpec spec = SpecOf(1, ranks, {"/bin/sh", "-c", command});
    spec.image_path = dir_ + "/root";
    for (const char* path : {"/usr", "/etc/alternatives", "/etc/openmpi", "/etc/ld.so.cache"}) {
      spec.mounts.push_back(
          {.type = Mount::kBind, .source = path, .target = path, .read_only = true, .optional = true});
    }
    return spec;
  }
  std::string dir_;
};

TEST_F(ContainerStep, RunsRanksInOneContainer) {
  StepUnderTest step(Shell("echo $SLIPWAY_RANK $(readlink /proc/self/ns/user)", 2), SLIPWAY_STARTER);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 0) << step[0].result->reason;
  EXPECT_THAT(step[0].out, HasSubstr("0 user:["));
  EXPECT_THAT(step[0].out, HasSubstr("1 user:["));
  for (auto& lap : step[0].result->laps) std::printf("%s %u us\n", lap.name.c_str(), lap.us);
}

TEST_F(ContainerStep, RunsABatchScriptWithTheClientInItsPath) {
  ASSERT_TRUE(MakeDirectories(dir_ + "/bin"));
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/bin/client-program", "#!/bin/sh\necho the client\n", 0755));
  StepSpec spec = Shell("");
  spec.step.step = kBatchStep;
  spec.argv = {"argument"};
  spec.script = "#!/bin/sh\necho \"$0 $1\"\nclient-program\nexit 4\n";
  spec.client_dir = dir_;
  StepUnderTest step(spec, SLIPWAY_STARTER);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].out, "/run/slipway/script argument\nthe client\n") << step[0].err;
  EXPECT_EQ(step[0].result->exit_code, 4);
}

TEST_F(ContainerStep, SaysWhatCannotBeFound) {
  StepSpec spec = Shell("");
  spec.argv = {"no-such-program"};
  StepUnderTest step(spec, SLIPWAY_STARTER);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 127);
  EXPECT_THAT(step[0].result->reason, HasSubstr("no-such-program"));
  EXPECT_FALSE(step[0].result->ranks.at(0).started);
}

TEST_F(ContainerStep, EndsARankThatDoesNotListen) {
  StepSpec spec = Shell("trap '' TERM; echo up; while :; do sleep 1; done");
  StepUnderTest step(spec, SLIPWAY_STARTER);
  ASSERT_TRUE(step.RunUntil([&] { return !step[0].out.empty(); }));
  step.Send(0, StepFrame::kTerminate, StepTerminate{.reason = "CANCELLED", .grace_s = 1});
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 128 + SIGKILL);
}

TEST_F(ContainerStep, WiresMpiRanksUp) {
  if (::access("/usr/lib/python3/dist-packages/mpi4py", F_OK) != 0)
    GTEST_SKIP() << "no mpi4py (python3-mpi4py)";
  StepSpec spec = Shell("", 2);
  spec.argv = {
      "python3", "-c",
      "from mpi4py import MPI; c = MPI.COMM_WORLD; print('rank', c.rank, 'of', c.size, c.allreduce(c.rank))"};
  spec.mpi = MpiKind::kPmix;
  StepUnderTest step(spec, SLIPWAY_STARTER);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 0) << step[0].result->reason << step[0].err;
  EXPECT_THAT(step[0].out, HasSubstr("rank 1 of 2 1"));
  EXPECT_EQ(step[0].err, "");
  for (auto& lap : step[0].result->laps) std::printf("%s %u us\n", lap.name.c_str(), lap.us);
}

}  // namespace
}  // namespace slipway
