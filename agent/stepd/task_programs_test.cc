// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/task_programs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <chrono>
#include <csignal>
#include <filesystem>

#include "base/os/fd.h"
#include "base/os/process.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway {
namespace {

using testing::HasSubstr;

// The script as a rank's container would run it, with the shells that are here.
class TaskProgramsTest : public testing::TestWithParam<std::vector<std::string>> {
 protected:
  void SetUp() override {
    if (::access(GetParam()[0].c_str(), X_OK) != 0) GTEST_SKIP() << GetParam()[0] << " is not here";
    StepSpec spec;
    spec.env = {"SLIPWAY_TASK_PROLOG=x"};
    LaunchSpec launch;
    launch.argv = {"program"};
    WrapTasks(spec, launch);
    ASSERT_EQ(launch.argv, (std::vector<std::string>{kTaskRunnerTarget, "program"}));
    ASSERT_TRUE(WriteFileAtomically(dir_ + "/runner", launch.files.at(0).content, 0755));
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(dir_)); }
  std::string Script(const std::string& name, const std::string& text) {
    EXPECT_TRUE(WriteFileAtomically(dir_ + "/" + name, "#!/bin/sh\n" + text + "\n", 0755));
    return dir_ + "/" + name;
  }
  Output Run(std::vector<std::string> env, const std::string& command) {
    std::vector<std::string> argv = {"/bin/sh", "-c", "exec \"$@\" 2>&1", "both"};
    argv.insert(argv.end(), GetParam().begin(), GetParam().end());
    argv.insert(argv.end(), {dir_ + "/runner", "/bin/sh", "-c", command});
    env.insert(env.end(), {"PATH=/usr/bin:/bin", "SLURM_PROCID=3"});
    if (timeout_) env.push_back(Cat("SLIPWAY_TASK_TIMEOUT=", *timeout_));
    return *RunAndCapture({.argv = argv, .env = env, .new_session = true});
  }
  std::string dir_ = *MakeTempDirectory("/tmp", "slipway-task-");
  std::optional<int> timeout_ = 60;
};

TEST_P(TaskProgramsTest, WhatAPrologPrintsChangesTheRanksEnvironment) {
  std::string prolog = Script("prolog",
                              "echo 'export A=b c'; echo 'unset GONE'; echo print hello; echo noise; "
                              "echo 'export 1x=y'; echo 'export A-B=y'");
  Output done = Run({Cat("SLIPWAY_TASK_PROLOG=", prolog), "GONE=here"}, "echo \"$A,$GONE.\"; exit 7");
  EXPECT_EQ(done.out, "hello\nb c,.\n");
  EXPECT_EQ(done.status.exit_code(), 7);
}

TEST_P(TaskProgramsTest, APrologThatFailsOrHangsFailsTheRankByName) {
  std::string bad = Script("bad", "exit 3"), hangs = Script("hangs", "exec sleep 1000");
  Output done = Run({Cat("SLIPWAY_TASK_PROLOG=", bad)}, "echo never");
  EXPECT_EQ(done.status.exit_code(), 125);
  EXPECT_EQ(done.out, Cat("slipway: task prolog ", bad, " of rank 3: exit code 3\n"));
  timeout_ = 1;
  done = Run({Cat("SLURM_TASK_PROLOG=", hangs)}, "echo never");
  EXPECT_EQ(done.status.exit_code(), 125);
  EXPECT_THAT(done.out, HasSubstr("not done within 1 s"));
  done = Run({"SLIPWAY_TASK_PROLOG=/does/not/exist"}, "echo never");
  EXPECT_EQ(done.status.exit_code(), 125);
  EXPECT_THAT(done.out, HasSubstr("task prolog /does/not/exist of rank 3"));
}

TEST_P(TaskProgramsTest, TheSitesComeFirstAndLastAndAnEpilogChangesNoExitCode) {
  std::vector<std::string> env;
  for (const char* name :
       {"SLIPWAY_SITE_TASK_PROLOG", "SLIPWAY_TASK_PROLOG", "SLIPWAY_TASK_EPILOG", "SLIPWAY_SITE_TASK_EPILOG"})
    env.push_back(Cat(name, "=", Script(name, Cat("echo ", name, " >&2"))));
  Output done = Run(env, "echo rank >&2; exit 9");
  EXPECT_EQ(done.out,
            "SLIPWAY_SITE_TASK_PROLOG\nSLIPWAY_TASK_PROLOG\nrank\nSLIPWAY_TASK_EPILOG\n"
            "SLIPWAY_SITE_TASK_EPILOG\n");
  EXPECT_EQ(done.status.exit_code(), 9);
  done = Run({Cat("SLIPWAY_TASK_EPILOG=", Script("bad", "exit 5"))}, "exit 4");
  EXPECT_EQ(done.status.exit_code(), 4);
  EXPECT_THAT(done.out, HasSubstr("of rank 3: exit code 5"));
}

TEST_P(TaskProgramsTest, ARankThatASignalEndedIsStillSeenSo) {
  Output done = Run({Cat("SLIPWAY_TASK_EPILOG=", Script("ok", "true"))}, "kill -TERM $$");
  EXPECT_TRUE(done.status.signaled());
  EXPECT_EQ(done.status.signal(), SIGTERM);
}

// Of nobody else: how long this test's watches would sleep.
bool SomeoneSleeps(int seconds) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    auto words = ReadFile(entry.path() / "cmdline");
    if (words && words->ends_with(Cat('\0', seconds, '\0')) && words->find("sleep") != words->npos)
      return true;
  }
  return false;
}

TEST_P(TaskProgramsTest, NoWatchOutlivesItsProgram) {
  timeout_ = 1'000'000 + static_cast<int>(::getpid());
  std::string both = Script("both", "true");
  Output done = Run({Cat("SLIPWAY_TASK_PROLOG=", both), Cat("SLIPWAY_TASK_EPILOG=", both)}, "exit 6");
  EXPECT_EQ(done.status.exit_code(), 6);
  EXPECT_EQ(done.out, "");
  // A killed process is gone a moment later; one that was forgotten sleeps for days.
  const auto late = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (SomeoneSleeps(*timeout_) && std::chrono::steady_clock::now() < late) ::sched_yield();
  EXPECT_FALSE(SomeoneSleeps(*timeout_));
}

TEST_P(TaskProgramsTest, SignalsForTheStepDoNotEndTheWatch) {
  timeout_ = 2;
  // As the container's init sends them: to the whole group, which is the test's own here.
  std::string hangs = Script("hangs", "trap '' TERM USR1; kill -TERM 0; kill -USR1 0; exec sleep 1000");
  Output done = Run({Cat("SLIPWAY_TASK_EPILOG=", hangs)}, "exit 4");
  EXPECT_EQ(done.status.exit_code(), 4);
  EXPECT_THAT(done.out, HasSubstr("not done within 2 s"));
}

TEST_P(TaskProgramsTest, WhatAPrologLeavesBehindHoldsNobodyUp) {
  std::string leaves = Script("leaves", Cat("sleep 1000 2>/dev/null & echo $! >", dir_,
                                            "/pid; echo export A=b; printf 'export C=d'"));
  Output done = Run({Cat("SLIPWAY_TASK_PROLOG=", leaves)}, "echo $A$C");
  auto pid = ParseNumber(Trim(*ReadFile(dir_ + "/pid")), 1, 1 << 30);
  ASSERT_TRUE(pid);
  EXPECT_EQ(::kill(static_cast<pid_t>(*pid), SIGKILL), 0) << "it ran on";
  EXPECT_EQ(done.out, "bd\n");
  EXPECT_EQ(done.status.exit_code(), 0);
  std::string fails = Script("fails", Cat("sleep 1000 2>/dev/null & echo $! >", dir_, "/pid; exit 9"));
  done = Run({Cat("SLIPWAY_TASK_PROLOG=", fails)}, "echo never");
  pid = ParseNumber(Trim(*ReadFile(dir_ + "/pid")), 1, 1 << 30);
  EXPECT_EQ(::kill(static_cast<pid_t>(*pid), SIGKILL), 0);
  EXPECT_EQ(done.status.exit_code(), 125);
  EXPECT_THAT(done.out, HasSubstr("exit code 9"));
}

INSTANTIATE_TEST_SUITE_P(Shells, TaskProgramsTest,
                         testing::Values(std::vector<std::string>{"/bin/sh"},
                                         std::vector<std::string>{"/bin/bash"},
                                         std::vector<std::string>{"/bin/busybox", "sh"}));

TEST(TaskPrograms, ABatchScriptAndAStepWithoutAnyAreLeftAlone) {
  LaunchSpec launch;
  launch.argv = {"program"};
  StepSpec spec;
  WrapTasks(spec, launch);
  spec.env = {"SLIPWAY_TASK_PROLOG=/x"};
  spec.step.step = kBatchStep;
  WrapTasks(spec, launch);
  EXPECT_EQ(launch.argv, std::vector<std::string>{"program"});
  EXPECT_TRUE(launch.files.empty());
}

}  // namespace
}  // namespace slipway
