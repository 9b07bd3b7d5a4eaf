// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mount.h>

#include "agent/stepd/step_under_test.h"
#include "launcher/spec/task_protocol.h"

namespace slipway {
namespace {

using ::testing::HasSubstr;

StepSpec Shell(const std::string& command, std::uint32_t ranks = 1, std::uint32_t nodes = 1) {
  return SpecOf(nodes, ranks, {"/bin/sh", "-c", command});
}

TEST(Stepd, StreamsOutputAndReportsTheExitCode) {
  StepUnderTest step(Shell("echo out $SLURM_PROCID of $SLIPWAY_NTASKS; echo err >&2; exit 3"));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].out, "out 0 of 1\n");
  EXPECT_EQ(step[0].err, "err\n");
  EXPECT_EQ(step[0].result->exit_code, 3);
  EXPECT_EQ(step[0].result->reason, "rank 0 on tnode0 exited with code 3");
  EXPECT_TRUE(step[0].result->ranks.at(0).started);
}

TEST(Stepd, AFolderThatDoesNotAnswerFailsTheStepByName) {
  std::string folder = *MakeTempDirectory("/tmp", "slipway-silent-");
  auto fuse = Open("/dev/fuse", O_RDWR);
  std::string options =
      fuse ? Cat("fd=", fuse->get(), ",rootmode=40000,user_id=", ::getuid(), ",group_id=", ::getgid()) : "";
  if (!fuse || ::mount("silent", folder.c_str(), "fuse.silent", 0, options.c_str()) != 0) {
    ::rmdir(folder.c_str());
    GTEST_SKIP() << "no FUSE file system may be mounted here";
  }
  StepSpec spec = Shell("echo ran");
  spec.home = folder;
  spec.folder_timeout_s = 1;
  {
    StepUnderTest step(spec);
    ASSERT_TRUE(step.RunToEnd());
    EXPECT_EQ(step[0].result->exit_code, 125);
    EXPECT_THAT(step[0].result->reason, HasSubstr(folder + " does not answer on node tnode0"));
    EXPECT_EQ(step[0].out, "");
  }
  fuse->reset();
  ::umount2(folder.c_str(), MNT_DETACH);
  ::rmdir(folder.c_str());
}

TEST(Stepd, KeepsItsResultUntilItIsAcknowledged) {
  StepUnderTest step(Shell("true"));
  ASSERT_TRUE(step.RunToEnd());
  auto kept = Decode<StepResult>(*ReadFile(step.Dir() + "/status0"), "status");
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->exit_code, 0);
  step[0].result.reset();
  step.Attach(0);  // the next agent
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].state->phase, StepPhase::kEnded);
  step.Acknowledge(0);
  ASSERT_TRUE(step.RunUntil([&] { return step[0].lost; }));
  EXPECT_EQ(step[0].stepd.Wait()->exit_code(), 0);
  step[0].stepd = Process();
}

TEST(Stepd, GoesOnWithoutAnAgentAndLosesNoOutput) {
  std::string dir = *MakeTempDirectory("/tmp", "slipway-stepd-test-");
  StepUnderTest step(
      Shell(Cat("while ! test -e ", dir, "/go; do /bin/sleep 0.01; done; i=0; while [ $i -lt 500 ]; ",
                "do echo $i; i=$((i+1)); done; : > ", dir, "/done; exit 4")));
  ASSERT_TRUE(step.RunUntil([&] { return step[0].state.has_value(); }));
  step.Detach(0);
  // Time to notice that the agent has gone: what is sent to one who is just going may be lost with him.
  EXPECT_FALSE(step.RunUntil([] { return false; }, std::chrono::seconds(1)));
  ASSERT_TRUE(WriteFileAtomically(dir + "/go", ""));
  for (int tries = 0; ::access((dir + "/done").c_str(), F_OK) < 0; ++tries) {
    ASSERT_LT(tries, 3000) << "the rank did not go on";
    ::poll(nullptr, 0, 10);
  }
  ASSERT_TRUE(RemoveTree(dir));
  step.Attach(0);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 4);
  EXPECT_THAT(step[0].out, HasSubstr("\n498\n499\n"));
}

TEST(Stepd, AStrayConnectionDoesNotTakeTheAgentsPlace) {
  StepUnderTest step(Shell("read line; exit 4"));
  ASSERT_TRUE(step.RunUntil([&] { return step[0].state.has_value(); }));
  UniqueFd silent = *ConnectUnix(step[0].path, SOCK_STREAM);
  UniqueFd odd = *ConnectUnix(step[0].path, SOCK_STREAM);
  ASSERT_TRUE(WriteAll(odd.get(), WithLength(EncodeFrame(StepFrame::kSignal, std::int32_t{SIGKILL}))));
  UniqueFd visitor = *ConnectUnix(step[0].path, SOCK_STREAM);
  ASSERT_TRUE(WriteAll(visitor.get(), WithLength(EncodeFrame(TaskFrame::kRun, TaskHello{}))));
  char byte;
  EXPECT_EQ(::recv(odd.get(), &byte, 1, 0), 0);      // let go
  EXPECT_EQ(::recv(visitor.get(), &byte, 1, 0), 1);  // told that this is no request
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 4);
  EXPECT_FALSE(step[0].lost);
}

TEST(Stepd, SendsNoMoreThanItsCredit) {
  StepUnderTest step(Shell("head -c 3000000 /dev/zero"));
  step.grant_credit = false;
  ASSERT_TRUE(step.RunUntil([&] { return step[0].out.size() >= 1 << 20; }));
  EXPECT_FALSE(
      step.RunUntil([&] { return step[0].out.size() > 1 << 20 || step[0].result; }, std::chrono::seconds(1)));
  step.Send(0, StepFrame::kCredit, std::uint32_t{4 << 20});
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].out.size(), 3000000u);
  EXPECT_EQ(step[0].result->exit_code, 0);
}

TEST(Stepd, TakesEveryRankDownWithTheFirstThatFails) {
  StepUnderTest step(Shell("[ $SLIPWAY_RANK = 1 ] && exit 9; sleep 60", 4, 2));
  ASSERT_TRUE(step.RunToEnd());
  for (int i : {0, 1}) {
    EXPECT_EQ(step[i].result->exit_code, 9);
    EXPECT_EQ(step[i].result->reason, "rank 1 on tnode0 exited with code 9");
  }
}

TEST(Stepd, SaysWhichSignalEndedARank) {
  StepUnderTest step(Shell("kill -SEGV $$"));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 128 + SIGSEGV);
  EXPECT_EQ(step[0].result->reason, "rank 0 on tnode0 was ended by signal 11 (Segmentation fault)");
}

TEST(Stepd, EndsAStepAtItsTimeLimit) {
  StepSpec spec = Shell("trap '' TERM; while :; do sleep 1; done");
  spec.time_limit_s = 1;
  spec.kill_grace_s = 1;
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 128 + SIGKILL);
  EXPECT_THAT(step[0].result->reason, HasSubstr("TIMEOUT"));
}

TEST(Stepd, IsCancelledWithAReason) {
  StepUnderTest step(Shell("echo up; exec sleep 60"));
  ASSERT_TRUE(step.RunUntil([&] { return !step[0].out.empty(); }));
  step.Send(0, StepFrame::kTerminate, StepTerminate{.reason = "CANCELLED by uid 5"});
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 128 + SIGTERM);
  EXPECT_EQ(step[0].result->reason, "CANCELLED by uid 5");
}

TEST(Stepd, FeedsRankZeroFromTheClient) {
  StepSpec spec = Shell("cat; echo end");
  spec.interactive_stdin = true;
  StepUnderTest step(spec);
  step.Send(0, StepFrame::kStdin, StepStdin{.bytes = "typed\n"});
  step.Send(0, StepFrame::kStdin, StepStdin{.eof = true});
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].out, "typed\nend\n");
}

TEST(Stepd, PassesSignalsOn) {
  StepUnderTest step(Shell("trap 'echo got; exit 0' USR1; echo up; while :; do sleep 0.05; done"));
  ASSERT_TRUE(step.RunUntil([&] { return !step[0].out.empty(); }));
  step.Send(0, StepFrame::kSignal, std::int32_t{SIGUSR1});
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].out, "up\ngot\n");
}

TEST(Stepd, ASignalBeforeTheTimeLimitIsActedUponOnceHoweverOftenItIsSaid) {
  StepUnderTest step(
      Shell("n=0; trap 'n=$((n+1)); echo got $n' USR1; trap 'echo last $n; exit 0' TERM; "
            "echo up; while :; do sleep 0.05; done"));
  ASSERT_TRUE(step.RunUntil([&] { return !step[0].out.empty(); }));
  StepLimitSignal signal{.signal_number = SIGUSR1, .rank_alone = true};
  step.Send(0, StepFrame::kLimitSignal, signal);
  ASSERT_TRUE(step.RunUntil([&] { return step[0].out == "up\ngot 1\n"; }));
  step.Send(0, StepFrame::kLimitSignal, signal);
  step.Send(0, StepFrame::kSignal, std::int32_t{SIGTERM});
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].out, "up\ngot 1\nlast 1\n");
}

TEST(Stepd, WritesTheUsersFilesAndAppendsFromEveryNode) {
  std::string dir = *MakeTempDirectory("/tmp", "stepd-out-");
  ASSERT_TRUE(WriteFileAtomically(dir + "/out", "old\n"));
  StepSpec spec = Shell("echo rank $SLIPWAY_RANK", 4, 2);
  spec.stdout_path = dir + "/out";
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd());
  std::string text = *ReadFile(dir + "/out");
  EXPECT_EQ(text.find("old"), std::string::npos);
  for (int rank = 0; rank < 4; ++rank) EXPECT_THAT(text, HasSubstr(Cat("rank ", rank, "\n")));
  ASSERT_TRUE(RemoveTree(dir));
}

TEST(Stepd, NamesTheOutputFileThatItCannotOpen) {
  StepSpec spec = Shell("true");
  spec.stdout_path = "/nonexistent/out.txt";
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 125);
  EXPECT_THAT(step[0].result->reason, HasSubstr("/nonexistent/out.txt"));
}

TEST(Stepd, RefusesAScriptWithWindowsLineEnds) {
  StepSpec spec = Shell("true");
  spec.script = "#!/bin/sh\r\necho hi\r\n";
  spec.argv.clear();
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 125);
  EXPECT_THAT(step[0].result->reason, HasSubstr("dos2unix"));
}

TEST(Stepd, RunsABatchScriptWithItsArguments) {
  if (::geteuid() != 0) GTEST_SKIP() << "the fake init places files only as root";
  StepSpec spec = Shell("true");
  spec.step.step = kBatchStep;
  spec.script = "#!/bin/sh\necho \"$0 $1 $SLURM_JOB_ID $SLURM_NTASKS\"\n";
  spec.argv = {"one"};
  spec.env.push_back("SLURM_NTASKS=64");  // the job's, not the batch step's
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].out, "/run/slipway/script one 7 64\n");
}

TEST(Stepd, SaysSoWhenTheInitGoesWithoutAWord) {
  StepUnderTest step(Shell("echo up; exec sleep 60"));
  ASSERT_TRUE(step.RunUntil([&] { return !step[0].out.empty(); }));
  ASSERT_TRUE(step[0].init.Signal(SIGKILL));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 125);
  EXPECT_THAT(step[0].result->reason, HasSubstr("ended unexpectedly"));
}

}  // namespace
}  // namespace slipway
