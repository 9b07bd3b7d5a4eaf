// SPDX-License-Identifier: Apache-2.0
// The child as the broker starts it: born in a user namespace made while euid was 0, the image attached and
// locked in its mount namespace. The image here is an empty folder; the programs come by binds of the host's
// /usr.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "base/os/process.h"
#include "base/os/socket.h"
#include "launcher/container/birth.h"
#include "launcher/spec/init_protocol.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {
namespace {

using testing::HasSubstr;

constexpr uid_t kUser = 20001;

void WriteMap(pid_t pid, const char* file, const std::string& text) {
  UniqueFd fd = std::move(*Open(Cat("/proc/", pid, "/", file), O_WRONLY));
  ASSERT_TRUE(WriteAll(fd.get(), text)) << file;
}

class InitTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "plays the broker, which is root";
    path_ = *MakeTempDirectory("/tmp", "slipway-init-test-");
    ASSERT_EQ(::chmod(path_.c_str(), 0755), 0);
    for (const char* name : {"/images/one/etc", "/images/two", "/data"})
      ASSERT_TRUE(MakeDirectories(path_ + name));
    spec_.mounts = {{.type = Mount::kProc, .target = "/proc"}, {.type = Mount::kDev, .target = "/dev"}};
    for (const char* path : {"/usr", "/bin", "/lib", "/lib64"})
      spec_.mounts.push_back({.source = path, .target = path, .read_only = true, .optional = true});
    spec_.env = {"LANG=C"};
    spec_.argv = {"sh", "-c", "true"};
    spec_.tasks.resize(1);
  }
  void TearDown() override {
    if (path_.empty()) return;
    control_.reset();
    if (child_) [[maybe_unused]]
      auto ended = child_.Wait();
    ASSERT_TRUE(RemoveTree(path_));
  }

  // What the broker does, in short.
  [[noreturn]] void BeBorn(int control_fd, int ready_fd, int maps_fd) {
    bool made = ::unshare(CLONE_NEWNS) == 0 &&
                ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                ::mount((path_ + "/images/one").c_str(), (path_ + "/images/one").c_str(), nullptr, MS_BIND,
                        nullptr) == 0 &&
                ::setgroups(0, nullptr) == 0 && ::setresgid(kUser, kUser, kUser) == 0 &&
                ::setresuid(kUser, 0, 0) == 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC) == 0;
    char byte = 0;
    if (!made || ::write(ready_fd, "x", 1) != 1 || ::read(maps_fd, &byte, 1) != 1 ||
        ::setresuid(kUser, kUser, kUser) < 0)
      ::_exit(99);
    RunInit({.control_fd = control_fd, .image_path = path_ + "/images/one", .proc_masked = false});
  }

  void Start(const std::vector<int>& fds = {}) {
    SocketEnds ends = std::move(*MakeSocketPair(SOCK_SEQPACKET));
    PipeEnds ready = std::move(*MakePipe()), maps = std::move(*MakePipe());
    child_ = std::move(*Clone3({}));
    if (!child_) BeBorn(ends.b.release(), ready.write.get(), maps.read.get());
    ends.b.reset();
    control_ = std::move(ends.a);
    char byte = 0;
    ASSERT_EQ(::read(ready.read.get(), &byte, 1), 1);
    WriteMap(child_.pid(), "setgroups", "deny");
    WriteMap(child_.pid(), "uid_map", Cat(kUser, " ", kUser, " 1"));
    WriteMap(child_.pid(), "gid_map", Cat(kUser, " ", kUser, " 1"));
    ASSERT_EQ(::write(maps.write.get(), "x", 1), 1);
    spec_.fd_count = static_cast<std::uint32_t>(fds.size());
    UniqueFd spec = std::move(*MakeSealedMemfd("spec", EncodeLaunchSpec(spec_)));
    ASSERT_TRUE(SendMessage(control_.get(), EncodeFrame(InitFrame::kLaunch, LaunchRequest{}), {spec.get()}));
    if (fds.empty()) return;
    WireWriter frame;
    frame(static_cast<std::uint16_t>(InitFrame::kFds));
    ASSERT_TRUE(SendMessage(control_.get(), frame.Take(), fds));
  }

  // Everything it says until it goes, or until `until`.
  void Listen(InitFrame until = InitFrame{}) {
    for (;;) {
      auto message = ReceiveMessage(control_.get());
      if (!message) return;
      auto frame = *SplitFrame<InitFrame>(message->bytes);
      if (frame.kind == InitFrame::kReady) ready_ = *Decode<InitReady>(frame.payload, "test");
      if (frame.kind == InitFrame::kStarted) ++started_;
      if (frame.kind == InitFrame::kFailed) failed_ = *Decode<InitFailed>(frame.payload, "test");
      if (frame.kind == InitFrame::kWarning) warnings_ += *Decode<std::string>(frame.payload, "test") + "\n";
      if (frame.kind == InitFrame::kExited) {
        auto exited = *Decode<TaskExited>(frame.payload, "test");
        exits_[exited.task] = ExitStatus{exited.wait_status}.exit_code();
      }
      if (frame.kind == until) return;
    }
  }

  // stdout of all tasks, after their end.
  std::string RunForOutput(const std::string& script) {
    PipeEnds out = std::move(*MakePipe());
    spec_.argv = {"sh", "-c", script};
    for (Task& task : spec_.tasks) task.stdout_fd = 0;
    Start({out.write.get()});
    out.write.reset();
    Listen();
    EXPECT_EQ(failed_.message, "");
    return *ReadAll(out.read.get(), 1 << 20);
  }

  std::string path_;
  LaunchSpec spec_;
  UniqueFd control_;
  Process child_;
  InitReady ready_;
  InitFailed failed_;
  std::string warnings_;
  int started_ = 0;
  std::map<std::uint32_t, int> exits_;
};

TEST_F(InitTest, StartsEveryTaskOnceInOneContainer) {
  spec_.tasks.resize(4);
  for (std::uint32_t i = 0; i < 4; ++i) spec_.tasks[i].env = {Cat("RANK=", i)};
  std::string out = RunForOutput(
      "echo rank $RANK $(readlink /proc/self/ns/user /proc/self/ns/pid | tr '\\n' ' ') | sed "
      "'s/[0-9]*]/N]/g'; exit $RANK");
  EXPECT_TRUE(ready_.pid_namespace);
  EXPECT_EQ(started_, 4);
  for (std::uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(exits_[i], static_cast<int>(i));
    EXPECT_THAT(out, HasSubstr(Cat("rank ", i, " user")));
  }
}

TEST_F(InitTest, LeavesTasksNoPrivilege) {
  std::string out = RunForOutput(
      "grep -E '^(Cap|NoNewPrivs|Uid)' /proc/self/status; mount -t tmpfs x /dev/shm 2>/dev/null && echo "
      "MOUNTED; "
      "cat /proc/1/environ /proc/1/maps >/dev/null 2>&1 && echo READ-INIT; echo > /etc/x && echo WROTE; ls "
      "/proc/1/root/ 2>/dev/null");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    EXPECT_THAT(out, HasSubstr(Cat(set, ":\t0000000000000000")));
  EXPECT_THAT(out, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(out, HasSubstr(Cat("Uid:\t", kUser)));
  for (const char* bad : {"MOUNTED", "READ-INIT", "WROTE"}) EXPECT_THAT(out, testing::Not(HasSubstr(bad)));
}

TEST_F(InitTest, ShowsNothingOfTheHostBesideTheMounts) {
  std::string out = RunForOutput("ls /; wc -l < /proc/self/mountinfo");
  EXPECT_THAT(out, testing::Not(HasSubstr("root\n")));
  EXPECT_THAT(out, testing::Not(HasSubstr("tmp\n")));
  EXPECT_THAT(out, HasSubstr("proc\n"));
}

TEST_F(InitTest, EndsEverythingWhenTheOwnerGoes) {
  PipeEnds out = std::move(*MakePipe());
  spec_.argv = {"sh", "-c", "trap '' TERM HUP INT; (sleep 1000 & sleep 1000) & echo up; sleep 1000"};
  spec_.tasks[0].stdout_fd = 0;
  Start({out.write.get()});
  out.write.reset();
  Listen(InitFrame::kStarted);
  char up[3];
  ASSERT_EQ(::read(out.read.get(), up, 3), 3);
  control_.reset();
  EXPECT_EQ(*ReadAll(out.read.get(), 100), "");  // the end of file comes when the last holder is dead
}

TEST_F(InitTest, ForwardsSignals) {
  spec_.tasks.resize(2);
  spec_.argv = {"sh", "-c", "exec sleep 1000"};
  Start();
  for (int i = 0; i < 3; ++i) Listen(i == 0 ? InitFrame::kReady : InitFrame::kStarted);
  ASSERT_TRUE(SendMessage(control_.get(), EncodeFrame(InitFrame::kSignal, TaskSignal{1, SIGKILL})));
  Listen(InitFrame::kExited);
  EXPECT_EQ(exits_[1], 137);
  ASSERT_TRUE(SendMessage(control_.get(), EncodeFrame(InitFrame::kSignal, TaskSignal{-1, SIGTERM})));
  Listen();
  EXPECT_EQ(exits_[0], 143);
}

TEST_F(InitTest, RunsNoOtherImageThanTheSignedOne) {
  spec_.image.kind = ImageKind::kDirectory;
  spec_.image.path = path_ + "/images/two";
  Start();
  Listen();
  EXPECT_THAT(failed_.message, HasSubstr("signed"));
  EXPECT_EQ(failed_.exit_code, 125);
}

TEST_F(InitTest, NeverBindsAnImageOfTheNode) {
  ASSERT_EQ(::symlink("images/two", (path_ + "/link").c_str()), 0);
  for (const std::string& source :
       {path_ + "/images", path_ + "/images/two", path_ + "/data/../images", path_ + "/link"}) {
    spec_.mounts.back() = {.source = source, .target = "/x"};
    Start();
    Listen();
    EXPECT_THAT(failed_.message, HasSubstr("among the node's image mounts")) << source;
    failed_ = {};
    control_.reset();
    ASSERT_TRUE(child_.Wait());
    child_ = {};
  }
}

TEST_F(InitTest, CoversTheImagesInAFolderThatHoldsThem) {
  spec_.mounts.push_back({.source = path_, .target = "/above"});
  spec_.mounts.push_back({.source = "/", .target = "/host"});
  spec_.mounts.push_back({.source = "/tmp", .target = "/tmp"});
  std::string out =
      RunForOutput(Cat("ls /above; ls -A /above/images /host", path_, "/images ", path_, "/images"));
  EXPECT_EQ(out, Cat("data\nimages\n/above/images:\n\n/host", path_, "/images:\n\n", path_, "/images:\n"));
}

TEST_F(InitTest, BindsHoldToReadOnlyAndSkipTheOptional) {
  ASSERT_EQ(::chown((path_ + "/data").c_str(), kUser, kUser), 0);
  spec_.mounts.push_back({.source = path_ + "/data", .target = "/ro", .read_only = true});
  spec_.mounts.push_back({.source = path_ + "/data", .target = "/deep/rw"});
  spec_.mounts.push_back({.source = path_ + "/none", .target = "/none", .optional = true});
  spec_.mounts.push_back({.type = Mount::kTmpfs, .target = "/scratch", .options = "size=1m,mode=0700"});
  spec_.mounts.push_back({.source = path_ + "/data", .target = "/scratch/below/it"});
  spec_.files.push_back({"/etc/here", "file\n"});
  spec_.files.push_back({"/scratch/script", "script\n", 0755});
  std::string out = RunForOutput(
      "touch /deep/rw/a && ls /ro /scratch/below/it; touch /ro/b 2>/dev/null && echo WROTE; ls -d /none "
      "2>/dev/null; "
      "cat /etc/here /scratch/script; test -x /scratch/script && echo executable");
  EXPECT_EQ(out, "/ro:\na\n\n/scratch/below/it:\na\nfile\nscript\nexecutable\n");
}

TEST_F(InitTest, AMissingBindIsOneClearLine) {
  spec_.mounts.push_back({.source = path_ + "/none", .target = "/x"});
  Start();
  Listen();
  EXPECT_THAT(failed_.message, HasSubstr(path_ + "/none: No such file"));
  EXPECT_EQ(started_, 0);
}

TEST_F(InitTest, PinsTasksToTheirProcessors) {
  spec_.tasks[0].cpus = {0};
  EXPECT_EQ(RunForOutput("grep Cpus_allowed_list /proc/self/status"), "Cpus_allowed_list:\t0\n");
}

TEST_F(InitTest, WarnsAboutAWorkingDirectoryThatIsNotThere) {
  spec_.cwd = "/no/such";
  EXPECT_EQ(RunForOutput("pwd"), "/\n");
  EXPECT_THAT(warnings_, HasSubstr("/no/such"));
}

TEST_F(InitTest, GivesTheHostNameAskedFor) {
  spec_.hostname = "inside";
  EXPECT_EQ(RunForOutput("uname -n"), "inside\n");
}

}  // namespace
}  // namespace slipway
