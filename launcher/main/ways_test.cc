// SPDX-License-Identifier: Apache-2.0
// `slipway exec` as an ordinary user types it, in all its ways: the real front, starter (a setuid copy),
// broker and holder, in a mount namespace of the test's own whose /etc/slipway is the test's. Needs root.
#include <dirent.h>
#include <gmock/gmock.h>
#include <pty.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <termios.h>

#include <algorithm>

#include "base/text/text.h"
#include "launcher/main/testdata/program_fixture.h"

namespace slipway {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr gid_t kGroupA = 27, kGroupB = 0x80000005;

struct Ended {
  int code = -1;
  std::string out, err;
};
struct Running {
  Process process;
  UniqueFd out, err;
};

struct Ways : Programs {
  const char* ImportProgram() override { return SLIPWAY_IMPORT; }

  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: a setuid copy, a broker and users";
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    Programs::SetUp();
    for (const char* name : {"/bin", "/etc/slipway", "/home"}) ASSERT_TRUE(MakeDirectories(dir + name));
    ASSERT_EQ(::chown((dir + "/home").c_str(), kUser, kUser), 0);
    for (const char* name : {"slipway", "slipway-starter"}) {
      ASSERT_TRUE(WriteFileAtomically(Cat(dir, "/bin/", name),
                                      *ReadFile(Cat(SLIPWAY_BIN_DIR, "/", name), 64 << 20), 0755));
    }
    ASSERT_EQ(::chmod((dir + "/bin/slipway-starter").c_str(), 04755), 0);
    for (const char* name : {"/passwd", "/group", "/nsswitch.conf", "/localtime", "/hosts", "/resolv.conf"}) {
      if (auto text = ReadFile(Cat("/etc", name))) {
        ASSERT_TRUE(WriteFileAtomically(Cat(dir, "/etc", name), *text));
      }
    }
    ASSERT_EQ(::mount((dir + "/etc").c_str(), "/etc", nullptr, MS_BIND, nullptr), 0);
    WriteConf("");
    ASSERT_TRUE(WriteFileAtomically(conf.names_file(), Cat("# root's\ntools ", digest, "\n"), 0644));
    // The broker's files are in /tmp here, and users' folders are not searched for them.
    ASSERT_TRUE(WriteFileAtomically(dir + "/own.sqsh", *ReadFile(image_file, 64 << 20), 0644));
  }
  void TearDown() override {
    if (dir.empty()) return;
    ::umount2("/etc", MNT_DETACH);
    EXPECT_TRUE(Eventually([] { return UsersProcesses().empty(); })) << Join(UsersProcesses(), " ");
    Programs::TearDown();
    EXPECT_TRUE(Eventually([&] { return Loops().empty(); })) << Join(Loops(), " ");
  }

  // More lines for the starter and, after a restart, for the broker.
  void WriteConf(const std::string& more) {
    std::string text = Cat(conf_text, "broker = ", dir, "/bin/slipway-broker\n", more);
    ASSERT_TRUE(WriteFileAtomically(dir + "/starter.conf", text, 0644));
    ASSERT_TRUE(WriteFileAtomically(dir + "/etc/slipway/starter.conf", text, 0644));
  }
  void RestartBrokerWith(const std::string& more) {
    WriteConf(more);
    End(broker, SIGTERM);
    StartBroker();
  }
  void StopBroker() {
    agent.reset();
    End(broker, SIGTERM);
  }
  void StopHolder() {
    StopBroker();
    End(holder, SIGTERM);
  }

  // Those of this test's store; others may run beside us.
  std::vector<std::string> Loops() const {
    std::vector<std::string> loops;
    for (int i = 0; i < 256; ++i) {
      auto backing = ReadFile(Cat("/sys/block/loop", i, "/loop/backing_file"));
      if (backing && backing->starts_with(dir + "/")) loops.push_back(*backing);
    }
    return loops;
  }
  static std::vector<std::string> UsersProcesses() {
    std::vector<std::string> found;
    std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), ::closedir);
    while (dirent* entry = ::readdir(proc.get())) {
      auto status = ReadFile(Cat("/proc/", entry->d_name, "/status"));
      if (status && status->find(Cat("\nUid:\t", kUser, "\t")) != std::string::npos &&
          status->find("State:\tZ") == std::string::npos)
        found.push_back(entry->d_name);
    }
    return found;
  }

  // What the caller's process is like before it becomes `slipway`.
  using Twist = std::function<void()>;
  [[noreturn]] void BecomeCaller(const std::vector<std::string>& argv, const Twist& twist) {
    gid_t groups[] = {kUser, kGroupA, kGroupB};
    bool is_user = ::setgroups(3, groups) == 0 && ::setresgid(kUser, kUser, kUser) == 0 &&
                   ::setresuid(kUser, kUser, kUser) == 0 && ::chdir((dir + "/home").c_str()) == 0;
    if (!is_user) ::_exit(99);
    ::setenv("HOME", (dir + "/home").c_str(), 1);
    ::setenv("LD_LIBRARY_PATH", "", 1);
    if (twist) twist();
    std::vector<std::string> words = {dir + "/bin/slipway"};
    words.insert(words.end(), argv.begin(), argv.end());
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    ::execv(pointers[0], pointers.data());
    ::_exit(99);
  }
  Running Start(const std::vector<std::string>& argv, const Twist& twist = {}) {
    PipeEnds out = MakePipe().value(), err = MakePipe().value();
    Process process = Clone3({}).value();
    if (!process) {
      int null_fd = ::open("/dev/null", O_RDONLY);
      ::dup2(null_fd, 0);
      ::dup2(out.write.get(), 1);
      ::dup2(err.write.get(), 2);
      BecomeCaller(argv, twist);
    }
    return {std::move(process), std::move(out.read), std::move(err.read)};
  }
  static Ended Finish(Running running) {
    Ended ended;
    ended.out = *ReadAll(running.out.get(), 1 << 20);
    ended.err = *ReadAll(running.err.get(), 1 << 20);
    ended.code = running.process.Wait()->exit_code();
    return ended;
  }
  Ended Exec(const std::string& way, const std::string& image, const std::vector<std::string>& command,
             const std::vector<std::string>& options = {}, const Twist& twist = {}) {
    std::vector<std::string> argv = {"exec", "--way", way, "--env", "LD_LIBRARY_PATH=/lib/x86_64-linux-gnu"};
    argv.insert(argv.end(), options.begin(), options.end());
    argv.push_back(image);
    argv.insert(argv.end(), command.begin(), command.end());
    return Finish(Start(argv, twist));
  }
  Ended Shell(const std::string& way, const std::string& image, const std::string& script,
              const std::vector<std::string>& options = {}, const Twist& twist = {}) {
    return Exec(way, image, {"sh", "-c", script}, options, twist);
  }
  static std::string ReadLine(int fd) {
    std::string line;
    char c = 0;
    while (::read(fd, &c, 1) == 1 && c != '\n') line += c;
    return line;
  }
};

constexpr const char* kPrivileged[] = {"brokered", "setuid"};
constexpr const char* kEvery[] = {"brokered", "setuid", "rootless"};

TEST_F(Ways, AnImageOfTheStoreIsMountedByTheKernelForTheUserAndHisGroups) {
  for (const char* way : kPrivileged) {
    for (const std::string& image : {digest, std::string("tools")}) {
      Ended ended =
          Shell(way, image, "id -u; id -G; cat /hello; cat /proc/self/setgroups; exit 7", {"--explain"});
      EXPECT_EQ(ended.code, 7) << way << ended.err;
      EXPECT_EQ(ended.out, Cat(kUser, "\n", kUser, " ", kGroupA, " ", kGroupB, "\nfrom the image\ndeny\n"))
          << way;
      EXPECT_THAT(ended.err, HasSubstr(Cat("way: ", way))) << way;
      EXPECT_THAT(ended.err, HasSubstr("mounted by the kernel"));
    }
  }
}

TEST_F(Ways, TheSetuidWayNeedsNoBrokerAndTakesAKeptMountWhereThereIsOne) {
  EXPECT_EQ(Shell("brokered", digest, "exit 3").code, 3);
  auto mounts = Loops();
  EXPECT_EQ(Shell("setuid", digest, "exit 4").code, 4);
  StopBroker();
  Running warm = Start({"exec", "--way", "setuid", digest, "/bin/sh", "-c", "echo up; exec /bin/sleep 100"});
  ASSERT_EQ(ReadLine(warm.out.get()), "up");
  EXPECT_EQ(Loops(), mounts) << "the holder's mount was taken";
  ASSERT_TRUE(warm.process.Signal(SIGKILL));
  Finish(std::move(warm));
  StopHolder();
  Ended cold = Shell("setuid", digest, "cat /hello; exit 5");
  EXPECT_EQ(cold.code, 5) << cold.err;
  EXPECT_EQ(cold.out, "from the image\n");
  EXPECT_TRUE(Eventually([&] { return Loops().empty(); }));
}

TEST_F(Ways, AutoTakesTheFirstThatIsThereAndSaysWhyNotTheOthers) {
  EXPECT_THAT(Shell("auto", digest, "exit 0", {"--explain"}).err, StartsWith("way: brokered"));
  StopBroker();
  Ended setuid = Shell("auto", digest, "exit 0", {"--explain"});
  EXPECT_THAT(setuid.err, StartsWith("way: setuid"));
  EXPECT_THAT(setuid.err, HasSubstr("not brokered: no slipway-broker serves users here"));
  ASSERT_EQ(::chmod((dir + "/bin/slipway-starter").c_str(), 0755), 0);
  Ended rootless = Shell("auto", dir + "/root", "exit 6", {"--explain"});
  EXPECT_EQ(rootless.code, 6) << rootless.err;
  EXPECT_THAT(rootless.err, StartsWith("way: rootless"));
  EXPECT_THAT(rootless.err, HasSubstr("is not installed setuid root"));
  Ended none = Shell("auto", digest, "exit 0");
  EXPECT_EQ(none.code, 125);
  EXPECT_THAT(none.err, HasSubstr("the node's store is root's"));
  EXPECT_EQ(Split(none.err, '\n').size(), 2u) << none.err;
  EXPECT_EQ(Exec("setuid", "none", {"true"}).code, 125);
  EXPECT_THAT(Exec("sideways", digest, {"true"}).err, HasSubstr("--way 'sideways'"));
  EXPECT_THAT(Shell("auto", digest, "exit 0", {}, [] { ::setenv("SLIPWAY_WAY", "rootless", 1); }).code, 125);
}

TEST_F(Ways, AUsersOwnImageIsNeverMountedByTheKernel) {
  auto loops = Loops();
  for (const char* way : kEvery) {
    Ended directory = Shell(way, dir + "/root", "id -u; exit 7");
    EXPECT_EQ(directory.code, 7) << way << directory.err;
    if (::access("/dev/fuse", F_OK) < 0) continue;
    Ended own = Shell(
        way, dir + "/own.sqsh",
        "id -u; cat /hello; while read a b c; do case $b in /) echo $c;; esac; done < /proc/mounts; exit 8");
    EXPECT_EQ(own.code, 8) << way << own.err;
    EXPECT_THAT(own.out, StartsWith(Cat(kUser, "\nfrom the image\n"))) << way;
    EXPECT_THAT(own.out, Not(HasSubstr("squashfs"))) << way;
  }
  EXPECT_EQ(Loops(), loops);
}

TEST_F(Ways, ExitCodesAndSignalsAreTheShells) {
  for (const char* way : kEvery) {
    std::string image = way == std::string("rootless") ? dir + "/root" : digest;
    EXPECT_EQ(Exec(way, image, {"true"}).code, 0) << way;
    EXPECT_EQ(Shell(way, image, "kill -9 $$").code, 137) << way;
    EXPECT_EQ(Exec(way, image, {"nothing"}).code, 127) << way;
    EXPECT_EQ(Exec(way, image, {"/hello"}).code, 126) << way;
    Running running = Start({"exec", "--way", way, image, "sh", "-c",
                             "trap 'exit 42' TERM; echo up; while :; do /bin/sleep 0.05; done"});
    ASSERT_EQ(ReadLine(running.out.get()), "up") << way;
    ASSERT_TRUE(running.process.Signal(SIGTERM));
    EXPECT_EQ(Finish(std::move(running)).code, 42) << way;
  }
}

// A session of its own on a terminal of ours.
struct OnTerminal {
  Process process;
  UniqueFd terminal;
  std::string seen;
  std::string Until(const std::string& words) {
    char chunk[256];
    while (seen.find(words) == std::string::npos) {
      ssize_t n = ::read(terminal.get(), chunk, sizeof chunk);
      if (n <= 0) break;
      seen.append(chunk, static_cast<std::size_t>(n));
    }
    return seen;
  }
};

TEST_F(Ways, CtrlCReachesTheTaskAndTheTerminalIsAsBefore) {
  for (const char* way : kEvery) {
    std::string image = way == std::string("rootless") ? dir + "/root" : digest;
    OnTerminal on;
    int ours = -1, theirs = -1;
    winsize size{33, 77, 0, 0};
    ASSERT_EQ(::openpty(&ours, &theirs, nullptr, nullptr, &size), 0);
    on.terminal.reset(ours);
    UniqueFd slave(theirs);
    termios before{}, after{};
    ASSERT_EQ(::tcgetattr(theirs, &before), 0);
    on.process = Clone3({}).value();
    if (!on.process) {
      ::setsid();
      ::ioctl(theirs, TIOCSCTTY, 0);
      for (int fd : {0, 1, 2}) ::dup2(theirs, fd);
      BecomeCaller({"exec", "--way", way, image, "sh", "-c",
                    "stty size < /dev/tty; trap 'exit 9' INT; echo up; while :; do /bin/sleep 0.05; done"},
                   {});
    }
    EXPECT_THAT(on.Until("up\r\n"), HasSubstr("33 77\r\n")) << way;
    ASSERT_TRUE(WriteAll(on.terminal.get(), "\x03"));
    EXPECT_EQ(on.process.Wait()->exit_code(), 9) << way << on.seen;
    ASSERT_EQ(::tcgetattr(theirs, &after), 0);
    EXPECT_EQ(before.c_lflag, after.c_lflag) << way;
    EXPECT_EQ(before.c_iflag, after.c_iflag) << way;
  }
}

TEST_F(Ways, ClosedStreamsAHostileEnvironmentAndSmallLimitsChangeNothing) {
  for (const char* way : kEvery) {
    std::string image = way == std::string("rootless") ? dir + "/root" : digest;
    for (int closed : {0, 1, 2, 7}) {
      Ended ended = Shell(way, image, "exit 7", {}, [closed] {
        for (int fd : {0, 1, 2}) {
          if (fd == closed || closed == 7) ::close(fd);
        }
      });
      EXPECT_EQ(ended.code, 7) << way << " " << closed << ended.err;
    }
    Ended hostile = Shell(way, image, "echo fine; exit 7", {}, [] {
      for (const char* name :
           {"LD_PRELOAD", "LD_AUDIT", "GCONV_PATH", "TMPDIR", "PATH", "MALLOC_CHECK_", "NOTIFY_SOCKET"})
        ::setenv(name, "/tmp/../../hostile", 1);
      ::setenv("GLIBC_TUNABLES", std::string(100'000, 'x').c_str(), 1);
      ::umask(0777);
      for (int signal_number : {SIGCHLD, SIGPIPE, SIGTERM}) ::signal(signal_number, SIG_IGN);
      rlimit limit{1 << 20, 1 << 20};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    });
    EXPECT_EQ(hostile.code, 7) << way << hostile.err;
    EXPECT_EQ(hostile.out, "fine\n") << way;
  }
}

TEST_F(Ways, TheCallersLimitsHoldInTheContainer) {
  for (const char* way : kEvery) {
    std::string image = way == std::string("rootless") ? dir + "/root" : digest;
    Ended ended = Shell(way, image,
                        "ulimit -n; ulimit -c; while read a b; do case $a in Cpus_allowed_list:) echo $b;; "
                        "esac; done < /proc/self/status; cat /proc/self/oom_score_adj",
                        {}, [] {
                          rlimit files{123, 234}, core{0, 0};
                          ::setrlimit(RLIMIT_NOFILE, &files);
                          ::setrlimit(RLIMIT_CORE, &core);
                          cpu_set_t one;
                          CPU_ZERO(&one);
                          CPU_SET(0, &one);
                          ::sched_setaffinity(0, sizeof one, &one);
                          ::prctl(PR_SET_DUMPABLE, 1);  // or /proc/self is root's
                          UniqueFd score(::open("/proc/self/oom_score_adj", O_WRONLY));
                          [[maybe_unused]] auto written = WriteAll(score.get(), "77");
                        });
    EXPECT_EQ(ended.out, "123\n0\n0\n77\n") << way << ended.err;
  }
}

TEST_F(Ways, NoPrivilegeIsLeftInside) {
  for (const char* way : kEvery) {
    std::string image = way == std::string("rootless") ? dir + "/root" : digest;
    Ended ended =
        Shell(way, image,
              "while read a b; do case $a in Cap*|NoNewPrivs:) echo $a $b;; esac; done < /proc/self/status");
    EXPECT_THAT(ended.out, HasSubstr("NoNewPrivs: 1\n")) << way;
    for (const char* set : {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"})
      EXPECT_THAT(ended.out, HasSubstr(Cat(set, " 0000000000000000\n"))) << way;
  }
}

// What the user's other processes may do to a container of his that root made: nothing.
TEST_F(Ways, TheUsersOtherProcessesCannotEnterOrTraceIt) {
  for (const char* way : kPrivileged) {
    Running running = Start({"exec", "--way", way, digest, "/bin/sh", "-c", "echo up; exec /bin/sleep 100"});
    ASSERT_EQ(ReadLine(running.out.get()), "up") << way;
    std::string inside = Shell(way, digest, "readlink /proc/self/ns/user").out;
    int looked_at = 0;
    for (const std::string& pid : UsersProcesses()) {
      if (pid == std::to_string(running.process.pid())) continue;  // the front is the user's own
      if (Link(Cat("/proc/", pid, "/ns/user")) == Link("/proc/self/ns/user")) continue;
      constexpr int kGone = 101;  // of the container that we looked into by Shell()
      Process intruder = Clone3({}).value();
      if (!intruder) {
        bool user = ::setgroups(0, nullptr) == 0 && ::setresgid(kUser, kUser, kUser) == 0 &&
                    ::setresuid(kUser, kUser, kUser) == 0;
        ::prctl(PR_SET_DUMPABLE, 1);
        auto target = Process::Of(std::stoi(pid));
        if (!user) ::_exit(100);
        if (!target) ::_exit(kGone);
        if (::setns(target->pidfd(), CLONE_NEWUSER) == 0) ::_exit(1);
        if (::setns(target->pidfd(), CLONE_NEWNS) == 0) ::_exit(2);
        if (::open(Cat("/proc/", pid, "/ns/user").c_str(), O_RDONLY) >= 0) ::_exit(5);
        if (::open(Cat("/proc/", pid, "/mem").c_str(), O_RDWR) >= 0) ::_exit(6);
        ::_exit(0);
      }
      int code = intruder.Wait().value().exit_code();
      if (code == kGone) continue;
      ++looked_at;
      EXPECT_EQ(code, 0) << way << " " << pid;
    }
    EXPECT_GE(looked_at, 2) << way;
    ASSERT_TRUE(running.process.Signal(SIGKILL));
    Finish(std::move(running));
  }
}

TEST_F(Ways, AConfThatOthersCouldWriteIsRefused) {
  std::string path = dir + "/etc/slipway/starter.conf";
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
  for (const char* way : {"setuid", "rootless"}) {
    Ended ended = Shell(way, dir + "/root", "exit 0");
    EXPECT_EQ(ended.code, 125) << way;
    EXPECT_THAT(ended.err, HasSubstr("can be written by others")) << way;
  }
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  ASSERT_EQ(::chown(path.c_str(), kUser, kUser), 0);
  EXPECT_THAT(Shell("setuid", digest, "exit 0").err, HasSubstr("belongs to user 20001"));
  ASSERT_EQ(::chown(path.c_str(), 0, 0), 0);
  WriteConf("allow_setiud = no\n");
  EXPECT_THAT(Shell("setuid", digest, "exit 0").err,
              ContainsRegex("line [0-9]+, column 1: unknown key 'allow_setiud'"));
}

TEST_F(Ways, EachWayCanBeForbiddenAndTheOtherIsTaken) {
  RestartBrokerWith("allow_exec = no\n");
  EXPECT_THAT(Shell("auto", digest, "exit 0", {"--explain"}).err, StartsWith("way: setuid"));
  RestartBrokerWith("allow_setuid = no\n");
  Ended setuid = Shell("setuid", digest, "exit 0");
  EXPECT_EQ(setuid.code, 125);
  EXPECT_THAT(setuid.err, HasSubstr("allow_setuid = no"));
  EXPECT_EQ(Shell("auto", digest, "exit 4").code, 4);
  EXPECT_EQ(Shell("rootless", dir + "/root", "exit 5").code, 5)
      << "the setuid copy drops and goes the rootless way";
}

TEST_F(Ways, LimitsOnImagesHoldInEveryWayAndAreNotWalkedRound) {
  RestartBrokerWith(Cat("limit_paths = ", dir, "/home /nothing\n"));
  for (const char* way : {"brokered", "setuid", "rootless", "auto"}) {
    Ended ended = Shell(way, dir + "/root", "exit 0");
    EXPECT_EQ(ended.code, 125) << way;
    EXPECT_THAT(ended.err, HasSubstr("limit_paths")) << way;
    EXPECT_EQ(Split(ended.err, '\n').size(), 2u) << ended.err;
  }
  EXPECT_EQ(Shell("auto", digest, "exit 3").code, 3);
  Ended import = Shell("auto", dir + "/own.sqsh", "exit 0", {"--import"});
  EXPECT_EQ(import.code, 125);
  EXPECT_THAT(import.err, HasSubstr("only root puts images into the store"));
  RestartBrokerWith("signed_by = 0123456789ABCDEF\n");
  for (const char* way : kPrivileged)
    EXPECT_THAT(Shell(way, digest, "exit 0").err, HasSubstr("no such signature was verified")) << way;
}

TEST_F(Ways, ForcedAndForbiddenBindsAreTheAdmins) {
  ASSERT_TRUE(MakeDirectories(dir + "/secret"));
  ASSERT_TRUE(WriteFileAtomically(dir + "/site", "of the site\n", 0644));
  RestartBrokerWith(
      Cat("bind = ", dir, "/site:/opt/site:ro\nforbid_bind = ", dir, "/secret\nallow_overlay = no\n"));
  for (const char* way : kEvery) {
    std::string image = way == std::string("rootless") ? dir + "/root" : digest;
    EXPECT_EQ(Exec(way, image, {"cat", "/opt/site"}, {"--no-home", "--contain"}).out, "of the site\n") << way;
    Ended secret = Exec(way, image, {"true"}, {"--no-home", "--contain", "-B", dir + "/secret:/x"});
    EXPECT_EQ(secret.code, 125) << way;
    EXPECT_THAT(secret.err, HasSubstr("forbid_bind")) << way;
    EXPECT_THAT(Exec(way, image, {"true"}, {"--contain", "--writable-tmpfs"}).err,
                HasSubstr("allow_overlay = no"))
        << way;
  }
}

TEST_F(Ways, ACallerInASandboxOrAnotherNamespaceIsNotLedOutOfIt) {
  Ended sandboxed = Shell("brokered", digest, "exit 0", {}, [] { ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); });
  EXPECT_EQ(sandboxed.code, 125);
  EXPECT_THAT(sandboxed.err, HasSubstr("sandbox"));
  Ended elsewhere = Shell("brokered", digest, "exit 0", {}, [] {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) ::_exit(98);
  });
  EXPECT_THAT(elsewhere.code, testing::AnyOf(98, 125)) << elsewhere.err;
  EXPECT_EQ(Shell("brokered", digest, "exit 5").code, 5);
}

TEST_F(Ways, AUserHasABoundedNumberOfContainers) {
  RestartBrokerWith("exec_per_user = 2\n");
  std::vector<Running> running;
  for (int i = 0; i < 2; ++i) {
    running.push_back(
        Start({"exec", "--way", "brokered", digest, "/bin/sh", "-c", "echo up; exec /bin/sleep 100"}));
    ASSERT_EQ(ReadLine(running.back().out.get()), "up");
  }
  Ended third = Shell("brokered", digest, "exit 0");
  EXPECT_EQ(third.code, 125);
  EXPECT_THAT(third.err, HasSubstr("exec_per_user"));
  for (Running& one : running) {
    ASSERT_TRUE(one.process.Signal(SIGTERM));
    EXPECT_EQ(Finish(std::move(one)).code, 143);
  }
  EXPECT_EQ(Shell("brokered", digest, "exit 6").code, 6);
}

TEST_F(Ways, ImportPutsAUsersFileIntoTheStoreWithAndWithoutABroker) {
  ASSERT_TRUE(WriteFileAtomically(dir + "/bin/slipway-broker", *ReadFile(SLIPWAY_BROKER, 64 << 20), 0755));
  Ended brokered = Shell("brokered", dir + "/own.sqsh", "cat /hello; exit 3", {"--import", "--explain"});
  EXPECT_EQ(brokered.code, 3) << brokered.err;
  EXPECT_THAT(brokered.err, HasSubstr("mounted by the kernel"));
  StopHolder();
  ASSERT_TRUE(MakeDirectories(dir + "/root/more"));
  ASSERT_EQ(
      RunAndCapture({.argv = {"mksquashfs", dir + "/root", dir + "/more.sqsh", "-quiet", "-no-progress"}})
          ->status.exit_code(),
      0);
  Ended setuid = Shell("setuid", dir + "/more.sqsh", "cat /hello; exit 4", {"--import", "--explain"});
  EXPECT_EQ(setuid.code, 4) << setuid.err;
  EXPECT_THAT(setuid.err, HasSubstr("mounted by the kernel"));
  ASSERT_TRUE(WriteFileAtomically(dir + "/bad.sqsh", "hsqs" + std::string(5000, 'x'), 0644));
  EXPECT_EQ(Shell("setuid", dir + "/bad.sqsh", "exit 0", {"--import"}).code, 125);
}

TEST_F(Ways, RootReadsNoFileForAUserThatHeCouldNotReadHimself) {
  std::string path = dir + "/roots.sqsh";
  ASSERT_TRUE(WriteFileAtomically(path, *ReadFile(image_file, 64 << 20), 0600));
  UniqueFd unreadable = Open(path, O_PATH).value();
  Process user = Clone3({}).value();
  if (!user) {
    if (::setgroups(0, nullptr) < 0 || ::setresgid(kUser, kUser, kUser) < 0 ||
        ::setresuid(kUser, kUser, kUser) < 0)
      ::_exit(99);
    auto client = ConnectUnix(conf.exec_socket(), SOCK_SEQPACKET);
    if (!client || !SendMessage(client->get(), EncodeFrame(BrokerFrame::kImportImage, PlainRequest{1}),
                                {unreadable.get()}))
      ::_exit(98);
    auto answer = ReceiveMessage(client->get());
    auto frame = SplitFrame<BrokerFrame>(answer->bytes);
    auto error = Decode<BrokerError>(frame->payload, "error");
    ::_exit(frame->kind == BrokerFrame::kError && error &&
                    error->code == static_cast<int>(Code::kPermissionDenied)
                ? 0
                : 1);
  }
  EXPECT_EQ(user.Wait()->exit_code(), 0);
}

TEST_F(Ways, WhatIsNoRequestIsCutOff) {
  UniqueFd null_fd = Open("/dev/null", O_RDONLY).value();
  std::uint64_t seed = 7;
  for (int i = 0; i < 200; ++i) {
    UniqueFd client = ConnectUnix(conf.exec_socket(), SOCK_SEQPACKET).value();
    std::string bytes = EncodeFrame(i % 3 == 0 ? BrokerFrame::kExec : static_cast<BrokerFrame>(i % 64),
                                    ExecRequest{.digest = "x"});
    for (std::size_t at = i % 2 == 0 ? 2 : bytes.size(); at < bytes.size(); ++at)
      bytes[at] = static_cast<char>((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 56);
    ASSERT_TRUE(
        SendMessage(client.get(), bytes, std::vector<int>(static_cast<std::size_t>(i % 3), null_fd.get())));
    auto answer = ReceiveMessage(client.get());
    ASSERT_TRUE(answer);
    EXPECT_EQ(SplitFrame<BrokerFrame>(answer->bytes)->kind, BrokerFrame::kError);
    EXPECT_FALSE(ReceiveMessage(client.get()));
  }
  EXPECT_EQ(Shell("brokered", digest, "exit 5").code, 5);
}

TEST_F(Ways, NothingIsLeftWhenTheFrontIsKilledAtAnyMoment) {
  std::string mounts = *ReadFile("/proc/self/mountinfo");
  for (const char* way : kEvery) {
    std::string image = way == std::string("rootless") ? dir + "/root" : digest;
    for (unsigned i = 0; i < 16; ++i) {
      Running running = Start({"exec", "--way", way, image, "/bin/sh", "-c",
                               "trap '' TERM HUP INT; /bin/sleep 100 & exec /bin/sleep 100"});
      ::usleep(i * 500);
      ASSERT_TRUE(running.process.Signal(SIGKILL));
      Finish(std::move(running));
    }
    EXPECT_TRUE(Eventually([] { return UsersProcesses().empty(); })) << way;
  }
  EXPECT_EQ(*ReadFile("/proc/self/mountinfo"), mounts);
}

TEST_F(Ways, ABrokerThatIsKilledTakesNoContainerWithItAndLeavesNoneBehind) {
  for (unsigned i = 0; i < 12; ++i) {
    Running running = Start({"exec", "--way", "brokered", digest, "/bin/sh", "-c",
                             "echo up; read x < /dev/zero; exec /bin/sleep 100"});
    bool up = i >= 8;
    if (up) {
      ASSERT_EQ(ReadLine(running.out.get()), "up");
    } else {
      ::usleep(i * 400);
    }
    End(broker, SIGKILL);
    if (up) {
      EXPECT_FALSE(*running.process.Poll()) << "the container goes on";
    }
    ASSERT_TRUE(running.process.Signal(SIGKILL));
    Finish(std::move(running));
    EXPECT_TRUE(Eventually([] { return UsersProcesses().empty(); })) << i;
    StartBroker();
  }
}

}  // namespace
}  // namespace slipway
