// SPDX-License-Identifier: Apache-2.0
// The container's init, the rootless way, asked for more processes while it runs. The image is a folder into
// which this machine's /usr is bound.
#include "launcher/container/added_tasks.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/os/process.h"
#include "launcher/container/birth.h"

namespace slipway {
namespace {

using testing::HasSubstr;

constexpr std::uint32_t kFirst = kAddedTaskFirst;

class AddedTasksTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = *MakeTempDirectory("/tmp", "slipway-added-test-");
    for (const char* name : {"usr", "etc", "dev", "proc", "tmp"})
      ASSERT_TRUE(MakeDirectories(Cat(path_, "/", name)));
    for (const char* name : {"bin", "sbin", "lib", "lib64"})
      ASSERT_EQ(::symlink(Cat("usr/", name).c_str(), Cat(path_, "/", name).c_str()), 0);
    spec_.image = {.kind = ImageKind::kDirectory, .path = path_};
    spec_.mounts = {{.type = Mount::kProc, .target = "/proc"},
                    {.type = Mount::kDev, .target = "/dev"},
                    {.source = "/usr", .target = "/usr", .read_only = true}};
    spec_.env = {"GREETING=hello"};
    spec_.argv = {"sleep", "1000"};
    spec_.tasks.resize(1);
  }
  void TearDown() override {
    control_.reset();
    if (child_) [[maybe_unused]]
      auto ended = child_.Wait();
    ASSERT_TRUE(RemoveTree(path_));
  }

  void Start(bool idle) {
    SocketEnds ends = std::move(*MakeSocketPair(SOCK_SEQPACKET));
    child_ = std::move(*Clone3({}));
    if (!child_) RunRootless({.control_fd = ends.b.release()});
    ends.b.reset();
    control_ = std::move(ends.a);
    UniqueFd spec = std::move(*MakeSealedMemfd("spec", EncodeLaunchSpec(spec_)));
    ASSERT_TRUE(SendMessage(control_.get(), EncodeFrame(InitFrame::kLaunch, LaunchRequest{.idle = idle}),
                            {spec.get()}));
    auto first = Next();
    if (first == InitFrame::kFailed) GTEST_SKIP() << "no container can be made here: " << failed_.message;
    ASSERT_EQ(first, InitFrame::kReady);
    if (!idle) {
      ASSERT_EQ(Next(), InitFrame::kStarted);
    }
  }

  // The kind of its next frame, which is kept; 0 when it has gone.
  InitFrame Next() {
    auto message = ReceiveMessage(control_.get());
    if (!message) return InitFrame{};
    auto frame = *SplitFrame<InitFrame>(message->bytes);
    if (frame.kind == InitFrame::kFailed) failed_ = *Decode<InitFailed>(frame.payload, "test");
    if (frame.kind == InitFrame::kTaskFailed) task_failed_ = *Decode<TaskFailed>(frame.payload, "test");
    if (frame.kind == InitFrame::kExited) exited_ = *Decode<TaskExited>(frame.payload, "test");
    return frame.kind;
  }

  TaskOrder Order(const std::string& script) {
    return {.argv = {"sh", "-c", script}, .stdin_fd = -1, .stdout_fd = 0, .stderr_fd = 0};
  }
  void Ask(std::uint32_t number, const TaskOrder& order, std::vector<int> streams, bool member = false) {
    UniqueFd memfd = std::move(*MakeSealedMemfd("order", Encode(order)));
    streams.insert(streams.begin(), memfd.get());
    ASSERT_TRUE(
        SendMessage(control_.get(), EncodeFrame(InitFrame::kRunTask, RunTask{number, member}), streams));
  }
  // Its output, once it has ended.
  std::string Output(TaskOrder order, std::uint32_t number = kFirst) {
    PipeEnds out = std::move(*MakePipe());
    Ask(number, order, {out.write.get()});
    out.write.reset();
    EXPECT_EQ(Next(), InitFrame::kStarted);
    std::string text = *ReadAll(out.read.get(), 1 << 20);
    EXPECT_EQ(Next(), InitFrame::kExited);
    EXPECT_EQ(exited_.task, number);
    return text;
  }
  void ExpectRefused(const std::string& word) {
    EXPECT_EQ(Next(), InitFrame::kTaskFailed);
    EXPECT_THAT(task_failed_.message, HasSubstr(word));
  }

  std::string path_;
  LaunchSpec spec_;
  UniqueFd control_;
  Process child_;
  InitFailed failed_;
  TaskFailed task_failed_;
  TaskExited exited_;
};

TEST_F(AddedTasksTest, RunBesideTheFirstWithItsEnvironmentAndNoPrivilege) {
  ASSERT_NO_FATAL_FAILURE(Start(false));
  TaskOrder order = Order("echo $GREETING $MORE; pgrep -c sleep; grep CapBnd /proc/self/status; exit 7");
  order.env = {"MORE=more"};
  EXPECT_EQ(Output(order), "hello more\n1\nCapBnd:\t0000000000000000\n");
  EXPECT_EQ(ExitStatus{exited_.wait_status}.exit_code(), 7);
  order.whole_environment = true;
  EXPECT_THAT(Output(order), HasSubstr("more\n1\n"));
}

TEST_F(AddedTasksTest, OfAnIdleContainerComeAndGoUntilItIsFinished) {
  ASSERT_NO_FATAL_FAILURE(Start(true));
  EXPECT_EQ(Output(Order("echo one")), "one\n");
  EXPECT_EQ(Output(Order("echo two")), "two\n");  // the number is free again
  ASSERT_TRUE(SendMessage(control_.get(), EncodeFrame(InitFrame::kFinish, TaskFinish{})));
  EXPECT_EQ(Next(), InitFrame{});
}

TEST_F(AddedTasksTest, ThatCannotRunSayWhyAndHarmNothing) {
  ASSERT_NO_FATAL_FAILURE(Start(true));
  UniqueFd null = std::move(*Open("/dev/null", O_RDWR));
  TaskOrder order{.argv = {"no-such-command"}, .stdout_fd = 0, .stderr_fd = 0};
  Ask(kFirst, order, {null.get()});
  EXPECT_EQ(Next(), InitFrame::kStarted);
  ExpectRefused("no-such-command: no such command");
  EXPECT_EQ(task_failed_.exit_code, 127);
  order.argv = {"/etc"};
  Ask(kFirst + 1, order, {null.get()});
  EXPECT_EQ(Next(), InitFrame::kStarted);
  ExpectRefused("/etc");
  EXPECT_EQ(task_failed_.exit_code, 126);
  order = Order("true");
  order.cwd = "/no/such";
  Ask(kFirst + 2, order, {null.get()});
  EXPECT_EQ(Next(), InitFrame::kStarted);
  ExpectRefused("/no/such");
  EXPECT_EQ(Output(Order("echo fine"), kFirst + 3), "fine\n");
}

TEST_F(AddedTasksTest, ThatMakeNoSenseAreRefusedAndHarmNothing) {
  ASSERT_NO_FATAL_FAILURE(Start(true));
  UniqueFd null = std::move(*Open("/dev/null", O_RDWR));
  Ask(3, Order("true"), {null.get()});
  ExpectRefused("task number 3");
  Ask(kFirst, Order("true"), {});
  ExpectRefused("no such descriptor");
  Ask(kFirst, Order("true"), {null.get(), null.get(), null.get(), null.get(), null.get()});
  ExpectRefused("5 descriptors");
  ASSERT_TRUE(SendMessage(control_.get(), EncodeFrame(InitFrame::kRunTask, RunTask{})));
  ExpectRefused("without an order");
  ASSERT_TRUE(SendMessage(control_.get(), EncodeFrame(InitFrame::kRunTask, RunTask{}), {null.get()}));
  ExpectRefused("task order");
  Ask(kFirst, Order("exec sleep 1000"), {null.get()});
  EXPECT_EQ(Next(), InitFrame::kStarted);
  Ask(kFirst, Order("true"), {null.get()});
  ExpectRefused("not to be had");
}

TEST_F(AddedTasksTest, AreBoundedInNumber) {
  ASSERT_NO_FATAL_FAILURE(Start(true));
  UniqueFd null = std::move(*Open("/dev/null", O_RDWR));
  TaskOrder order{.argv = {"sleep", "1000"}, .stdout_fd = 0, .stderr_fd = 0};
  for (std::uint32_t i = 0; i < kAddedTasksMax; ++i) {
    Ask(kFirst + i, order, {null.get()});
    ASSERT_EQ(Next(), InitFrame::kStarted);
  }
  Ask(kFirst + kAddedTasksMax, order, {null.get()});
  ExpectRefused("already");
}

TEST_F(AddedTasksTest, GetTheirOwnSignalsAndEndWithTheContainer) {
  ASSERT_NO_FATAL_FAILURE(Start(false));
  PipeEnds out = std::move(*MakePipe());
  Ask(kFirst, Order("exec sleep 1000"), {out.write.get()});
  Ask(kFirst + 1, Order("exec sleep 1000"), {out.write.get()});
  out.write.reset();
  EXPECT_EQ(Next(), InitFrame::kStarted);
  EXPECT_EQ(Next(), InitFrame::kStarted);
  ASSERT_TRUE(SendMessage(control_.get(), EncodeFrame(InitFrame::kSignal, TaskSignal{kFirst + 1, SIGTERM})));
  EXPECT_EQ(Next(), InitFrame::kExited);
  EXPECT_EQ(exited_.task, kFirst + 1);
  EXPECT_EQ(ExitStatus{exited_.wait_status}.exit_code(), 143);
  ASSERT_TRUE(SendMessage(control_.get(), EncodeFrame(InitFrame::kSignal, TaskSignal{0, SIGKILL})));
  EXPECT_EQ(Next(), InitFrame::kExited);
  EXPECT_EQ(exited_.task, 0U);
  EXPECT_EQ(Next(), InitFrame{});
  EXPECT_EQ(*ReadAll(out.read.get(), 100), "");  // its last holder is dead
}

TEST_F(AddedTasksTest, ThatAreMembersKeepTheContainerUntilTheyHaveEnded) {
  ASSERT_NO_FATAL_FAILURE(Start(false));
  PipeEnds out = std::move(*MakePipe()), in = std::move(*MakePipe());
  TaskOrder order = Order("read line; echo $line");
  order.stdin_fd = 1;
  Ask(kSpawnedTaskFirst, order, {out.write.get(), in.read.get()}, true);
  out.write.reset();
  EXPECT_EQ(Next(), InitFrame::kStarted);
  ASSERT_TRUE(SendMessage(control_.get(), EncodeFrame(InitFrame::kSignal, TaskSignal{0, SIGKILL})));
  EXPECT_EQ(Next(), InitFrame::kExited);
  EXPECT_EQ(exited_.task, 0U);
  ASSERT_EQ(::write(in.write.get(), "still here\n", 11), 11);
  EXPECT_EQ(*ReadAll(out.read.get(), 100), "still here\n");
  EXPECT_EQ(Next(), InitFrame::kExited);
  EXPECT_EQ(exited_.task, kSpawnedTaskFirst);
  EXPECT_EQ(Next(), InitFrame{});
}

TEST_F(AddedTasksTest, AndOrphansAreGivenTimeWhenTheContainerIsFinished) {
  for (bool pid_namespace : {true, false}) {
    spec_.pid_namespace = pid_namespace;
    ASSERT_NO_FATAL_FAILURE(Start(true));
    PipeEnds out = std::move(*MakePipe());
    Ask(kFirst, Order("(trap 'echo asked; exit' TERM; echo up; while :; do sleep 0.1; done) & exit 0"),
        {out.write.get()});
    out.write.reset();
    EXPECT_EQ(Next(), InitFrame::kStarted);
    EXPECT_EQ(Next(), InitFrame::kExited);
    char up[3];
    ASSERT_EQ(::read(out.read.get(), up, 3), 3);
    ASSERT_TRUE(SendMessage(control_.get(), EncodeFrame(InitFrame::kFinish, TaskFinish{SIGTERM})));
    EXPECT_THAT(*ReadAll(out.read.get(), 1000), HasSubstr("asked\n"));
    EXPECT_EQ(Next(), InitFrame{});
    ASSERT_TRUE(child_.Wait());
    child_ = {};
  }
}

TEST_F(AddedTasksTest, CanHaveATerminalOfTheirOwn) {
  ASSERT_NO_FATAL_FAILURE(Start(true));
  UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(master && ::grantpt(master.get()) == 0 && ::unlockpt(master.get()) == 0);
  UniqueFd slave = std::move(*Open(::ptsname(master.get()), O_RDWR | O_NOCTTY));
  PipeEnds out = std::move(*MakePipe());
  TaskOrder order = Order("test -t 0 && echo yes > /dev/tty; read line < /dev/tty; echo got $line");
  order.stdin_fd = 1;
  order.terminal = true;
  Ask(kFirst, order, {out.write.get(), slave.get()});
  out.write.reset();
  slave.reset();
  EXPECT_EQ(Next(), InitFrame::kStarted);
  char yes[5] = {};
  ASSERT_EQ(::read(master.get(), yes, 5), 5);
  EXPECT_STREQ(std::string(yes, 3).c_str(), "yes");
  ASSERT_TRUE(WriteAll(master.get(), "typed\n"));
  EXPECT_EQ(*ReadAll(out.read.get(), 100), "got typed\n");
  EXPECT_EQ(Next(), InitFrame::kExited);
}

}  // namespace
}  // namespace slipway
