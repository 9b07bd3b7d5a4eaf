// SPDX-License-Identifier: Apache-2.0
// `slipway exec` as an ordinary user types it: the real front, starter (a setuid copy), broker and holder, in
// a mount namespace of the test's own whose /etc/slipway is the test's. Needs root.
#pragma once

#include <dirent.h>
#include <gmock/gmock.h>
#include <sched.h>

#include <algorithm>

#include "base/text/text.h"
#include "launcher/main/testdata/program_fixture.h"

namespace slipway {

inline constexpr gid_t kGroupA = 27, kGroupB = 0x80000005;

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

inline constexpr const char* kPrivileged[] = {"brokered", "setuid"};
inline constexpr const char* kEvery[] = {"brokered", "setuid", "rootless"};

}  // namespace slipway
