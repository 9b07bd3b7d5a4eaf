// SPDX-License-Identifier: Apache-2.0
// The ways of `slipway exec`: which one is taken, what holds in it, and how it ends.
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <termios.h>

#include "launcher/main/testdata/ways_fixture.h"

namespace slipway {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

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

// Of the image as it is, too: the next container's is whole, and no other user sees them as his.
TEST_F(Ways, RootsFilesOfAnImageOfTheStoreAreTheUsersToChangeInALayerAboveIt) {
  const std::string change =
      "set -e; test -O /hello; test -G /hello; echo changed > /hello; > /bin/made; cat /hello; exit 3";
  for (const char* way : kPrivileged) {
    for (int round : {1, 2}) {
      Ended changed = Shell(way, digest, change, {"--writable-tmpfs"});
      EXPECT_EQ(changed.code, 3) << way << round << changed.err;
      EXPECT_EQ(changed.out, "changed\n") << way;
      EXPECT_THAT(changed.err, Not(HasSubstr("warning"))) << way;
    }
    std::string kept = Cat(dir, "/home/kept-", way);
    ASSERT_TRUE(MakeDirectories(kept));
    ASSERT_EQ(::chown(kept.c_str(), kUser, kUser), 0);
    EXPECT_EQ(Shell(way, digest, change, {"--overlay", kept}).code, 3) << way;
    Ended again = Shell(way, digest, "cat /hello; test -e /bin/made", {"--overlay", kept + ":ro"});
    EXPECT_EQ(again.out, "changed\n") << way << again.err;
    EXPECT_EQ(again.code, 0) << way << again.err;
    Ended plain = Shell(way, digest, "cat /hello; test -O /hello || test -e /bin/made || exit 4");
    EXPECT_EQ(plain.out, "from the image\n") << way;
    EXPECT_EQ(plain.code, 4) << way << plain.err;
  }
  RestartBrokerWith("");
  EXPECT_EQ(Shell("brokered", digest, change, {"--writable-tmpfs"}).code, 3) << "a kept mount is found again";
  EXPECT_EQ(Loops().size(), 1u) << "one device and one page cache for both forms";
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

TEST_F(Ways, AnInstanceOfTheStoresImageOutlivesItsCommandAndARestartOfTheBroker) {
  for (const char* way : kPrivileged) {
    auto run = [&](std::vector<std::string> argv) { return Finish(Start(argv)); };
    Ended started = run({"instance", "start", "--way", way, "--explain", digest, "web"});
    ASSERT_EQ(started.code, 0) << way << started.err;
    EXPECT_THAT(started.err, HasSubstr(Cat("way: ", way)));
    RestartBrokerWith("");
    Ended inside = run({"exec", "instance://web", "/bin/sh", "-c", "cat /hello; echo $$; exit 9"});
    EXPECT_EQ(inside.code, 9) << way << inside.err;
    EXPECT_THAT(inside.out, StartsWith("from the image\n")) << way;
    EXPECT_LT(std::atoi(inside.out.substr(15).c_str()), 100) << way << ": a PID namespace of its own";
    // Its init is found: a process of that number is the user's.
    Ended list = run({"instance", "list", "--json"});
    auto at = list.out.find("\"pid\": ");
    ASSERT_NE(at, std::string::npos) << list.out;
    std::string pid = std::to_string(std::atoi(list.out.c_str() + at + 7));
    EXPECT_THAT(UsersProcesses(), testing::Contains(pid)) << way;
    EXPECT_THAT(*ReadFile(Cat("/proc/", pid, "/status")), testing::ContainsRegex("NSpid:\t[0-9]+\t1\n"))
        << way;
    EXPECT_EQ(run({"instance", "stop", "web"}).code, 0) << way;
    EXPECT_TRUE(Eventually([] { return UsersProcesses().empty(); })) << way << Join(UsersProcesses(), " ");
  }
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