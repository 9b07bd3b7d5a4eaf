// SPDX-License-Identifier: Apache-2.0
// `slipway exec` as an ordinary user types it, with images made from a few programs of this host. When run as
// root the commands run as a raw uid in a mount namespace where /dev/fuse is as open as udev makes it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "base/os/process.h"
#include "base/text/text.h"

namespace slipway {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr uid_t kUser = 20001;

std::string Little(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

void WriteTo(const std::string& path, const std::string& bytes, unsigned mode = 0644) {
  UniqueFd fd = std::move(*Open(path, O_WRONLY | O_CREAT | O_TRUNC, mode));
  ASSERT_TRUE(WriteAll(fd.get(), bytes));
  ASSERT_EQ(::fchmod(fd.get(), mode), 0);
}

// A SIF with one primary system partition, as the format's description has it.
std::string SifAround(const std::string& squashfs, std::uint64_t claimed_size) {
  constexpr std::size_t kTable = 4096, kData = 32768;
  std::string sif = "#!/usr/bin/env run-singularity\n";
  sif.resize(32);
  sif +=
      std::string("SIF_MAGIC\0", 10) + std::string("01\0", 3) + std::string("02\0", 3) + std::string(16, 'u');
  sif += Little(0, 8) + Little(0, 8) + Little(47, 8) + Little(48, 8) + Little(kTable, 8) +
         Little(48 * 585, 8) + Little(kData, 8) + Little(squashfs.size(), 8);
  sif.resize(kTable);
  std::string descriptor = Little(0x4004, 4) + Little(1, 1) + Little(1, 4) + Little(0xF0000001, 4) +
                           Little(0, 4) + Little(kData, 8) + Little(claimed_size, 8);
  descriptor.resize(201);
  descriptor += Little(1, 4) + Little(2, 4) + "02";
  descriptor.resize(585);
  sif += descriptor;
  sif.resize(kData);
  return sif + squashfs;
}

class FrontTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    path_ = *MakeTempDirectory("/tmp", "slipway-front-test-");
    ASSERT_EQ(::chmod(path_.c_str(), 0755), 0);
    for (const char* name :
         {"/root/bin", "/root/etc", "/root/.singularity.d/env", "/home", "/bin", "/bare/bin"})
      ASSERT_TRUE(MakeDirectories(path_ + name));
    // The user may not be able to reach the build folder.
    for (const char* name : {"slipway", "slipway-starter"})
      Copy(Cat(SLIPWAY_BIN_DIR, "/", name), Cat(path_, "/bin/", name));
    for (const char* name : {"sh", "true", "cat", "ls", "id", "env", "sleep", "uname"})
      CopyProgram(name, "/root");
    CopyProgram("true", "/bare");
    WriteTo(path_ + "/root/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    WriteTo(path_ + "/root/.singularity.d/env/10-plain.sh", "export FROM_IMAGE=plain\nexport BOTH=image\n");
    WriteTo(path_ + "/root/.singularity.d/env/90-shell.sh", "export FROM_SHELL=\"${FROM_IMAGE} shell\"\n");
    WriteTo(path_ + "/root/.singularity.d/runscript", "#!/bin/sh\necho running \"$@\"\n", 0755);
    WriteTo(path_ + "/root/bin/data", "x\n");
    WriteTo(path_ + "/root/bin/nohashbang", "echo by the shell\n", 0755);
    std::string program = *ReadFile(path_ + "/root/bin/true");
    program[18] = '\x16';  // EM_S390
    program[19] = 0;
    WriteTo(path_ + "/root/bin/foreign", program, 0755);
    auto packed = RunAndCapture({.argv = {"mksquashfs", path_ + "/root", path_ + "/image.sqfs", "-quiet",
                                          "-no-progress", "-all-root"}});
    ASSERT_TRUE(packed && packed->status.wait_status == 0) << "mksquashfs (squashfs-tools) is needed";
    std::string squashfs = *ReadFile(path_ + "/image.sqfs", 64 << 20);
    WriteTo(path_ + "/image.sif", SifAround(squashfs, squashfs.size()));
    WriteTo(path_ + "/short.sif",
            SifAround(squashfs, squashfs.size()).substr(0, 32768 + squashfs.size() / 2));
    WriteTo(path_ + "/cut.sif", SifAround(squashfs, squashfs.size()).substr(0, 5000));
    WriteTo(path_ + "/short.sqfs", squashfs.substr(0, squashfs.size() / 2));
    if (::geteuid() == 0) {
      ASSERT_EQ(::chown((path_ + "/home").c_str(), kUser, kUser), 0);
    }
  }
  static void TearDownTestSuite() { ASSERT_TRUE(RemoveTree(path_)); }

  static void Copy(const std::string& from, const std::string& to) {
    WriteTo(to, *ReadFile(from, 64 << 20), 0755);
  }
  static void CopyProgram(const std::string& name, const std::string& root) {
    Copy("/bin/" + name, Cat(path_, root, "/bin/", name));
    auto libraries = RunAndCapture({.argv = {"ldd", "/bin/" + name}});
    ASSERT_TRUE(libraries);
    for (const std::string& line : Split(libraries->out, '\n')) {
      auto start = line.find('/');
      if (start == std::string::npos) continue;
      std::string library = line.substr(start, line.find(' ', start) - start);
      std::string copy = Cat(path_, root, library);
      ASSERT_TRUE(MakeDirectories(copy.substr(0, copy.rfind('/'))));
      Copy(library, copy);
    }
  }

  struct Running {
    Process process;
    UniqueFd out, err;  // read ends
  };
  struct Ended {
    int code = -1;
    std::string out, err;
  };

  [[noreturn]] static void BecomeUser(std::vector<std::string> argv, int out_fd, int err_fd) {
    if (::geteuid() == 0) {
      bool ready =
          ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
          ::mount("t", "/mnt", "tmpfs", 0, nullptr) == 0 &&
          ::mknod("/mnt/fuse", S_IFCHR | 0666, makedev(10, 229)) == 0 && ::chmod("/mnt/fuse", 0666) == 0 &&
          (::access("/dev/fuse", F_OK) < 0 ||
           ::mount("/mnt/fuse", "/dev/fuse", nullptr, MS_BIND, nullptr) == 0) &&
          ::setgroups(0, nullptr) == 0 && ::setresgid(kUser, kUser, kUser) == 0 &&
          ::setresuid(kUser, kUser, kUser) == 0;
      if (!ready) ::_exit(99);
    }
    ::setenv("HOME", (path_ + "/home").c_str(), 1);
    ::setenv("OUTSIDE", "host", 1);
    ::setenv("BOTH", "host", 1);
    int null_fd = ::open("/dev/null", O_RDONLY);
    if (::chdir((path_ + "/home").c_str()) < 0 || ::dup2(null_fd, 0) < 0 || ::dup2(out_fd, 1) < 0 ||
        ::dup2(err_fd, 2) < 0)
      ::_exit(99);
    argv.insert(argv.begin(), path_ + "/bin/slipway");
    std::vector<char*> pointers;
    for (std::string& argument : argv) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    ::execv(pointers[0], pointers.data());
    ::_exit(99);
  }

  static Running Start(const std::vector<std::string>& argv) {
    PipeEnds out = std::move(*MakePipe()), err = std::move(*MakePipe());
    Process process = std::move(*Clone3({}));
    if (!process) BecomeUser(argv, out.write.get(), err.write.get());
    return {std::move(process), std::move(out.read), std::move(err.read)};
  }
  static Ended Finish(Running running) {
    Ended ended;
    // Both are short here: neither pipe can fill while the other is read.
    ended.out = *ReadAll(running.out.get(), 1 << 20);
    ended.err = *ReadAll(running.err.get(), 1 << 20);
    ended.code = running.process.Wait()->exit_code();
    return ended;
  }
  static Ended Slipway(const std::vector<std::string>& argv) { return Finish(Start(argv)); }
  static Ended Exec(std::vector<std::string> argv, const std::string& image = "/root") {
    argv.insert(argv.begin(), {"exec", path_ + image});
    return Slipway(argv);
  }
  static bool HasFuse() { return ::access("/dev/fuse", ::geteuid() == 0 ? F_OK : R_OK | W_OK) == 0; }
  static std::string ReadLine(int fd) {
    std::string line;
    char c = 0;
    while (::read(fd, &c, 1) == 1 && c != '\n') line += c;
    return line;
  }

  static std::string path_;
};
std::string FrontTest::path_;

TEST_F(FrontTest, RunsACommandFromEveryKindOfImage) {
  for (const char* image : {"/root", "/image.sqfs", "/image.sif"}) {
    if (!HasFuse() && std::string(image) != "/root") continue;
    Ended ended = Exec({"sh", "-c", "id -u; id -un; pwd; echo $HOME; exit 7"}, image);
    std::string home = path_ + "/home", uid = std::to_string(::geteuid() == 0 ? kUser : ::geteuid());
    EXPECT_EQ(ended.code, 7) << image << ended.err;
    EXPECT_THAT(ended.out, StartsWith(uid + "\n")) << image;
    EXPECT_THAT(ended.out, HasSubstr(home + "\n" + home + "\n")) << image;
    EXPECT_EQ(ended.err, "") << image;
  }
  if (!HasFuse()) GTEST_SKIP() << "no /dev/fuse: a directory only";
}

TEST_F(FrontTest, ExitCodesAreTheShells) {
  EXPECT_EQ(Exec({"true"}).code, 0);
  EXPECT_EQ(Exec({"sh", "-c", "kill -9 $$"}).code, 137);
  EXPECT_EQ(Exec({"sh", "-c", "kill -15 $$"}).code, 143);
  Ended missing = Exec({"nothing"});
  EXPECT_EQ(missing.code, 127);
  EXPECT_EQ(missing.err,
            "slipway: nothing: no such command in the container (PATH is "
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)\n");
  EXPECT_EQ(Exec({"/no/such"}).code, 127);
  Ended data = Exec({"/bin/data"});
  EXPECT_EQ(data.code, 126);
  EXPECT_THAT(data.err, HasSubstr("is not executable"));
  EXPECT_EQ(Exec({"/bin/nohashbang"}).out, "by the shell\n");
}

TEST_F(FrontTest, SaysWhenAProgramIsForAnotherArchitecture) {
  Ended foreign = Exec({"foreign"});
  EXPECT_EQ(foreign.code, 126);
  EXPECT_THAT(foreign.err, HasSubstr("exec format: it is for s390x"));
}

TEST_F(FrontTest, RefusesWhatIsNoImageInOneLine) {
  struct {
    const char *image, *words;
  } cases[] = {{"/short.sif", "truncated SIF: its system partition ends at byte"},
               {"/cut.sif", "truncated SIF: its table of descriptors"},
               {"/short.sqfs", "truncated"},
               {"/root/bin/true", "a program (ELF)"},
               {"/root/bin/data", "neither a SIF"},
               {"/none.sif", "No such file"}};
  for (auto [image, words] : cases) {
    Ended ended = Exec({"true"}, image);
    EXPECT_EQ(ended.code, 125) << image;
    EXPECT_THAT(ended.err, HasSubstr(words)) << image;
    EXPECT_EQ(Split(ended.err, '\n').size(), 2u) << ended.err;
  }
  Ended name = Slipway({"exec", "mpi", "true"});
  EXPECT_EQ(name.code, 125);
  EXPECT_THAT(name.err, HasSubstr("slipway launch --image mpi"));
  EXPECT_THAT(Slipway({"exec", "docker://alpine", "true"}).err, HasSubstr("docker://"));
}

TEST_F(FrontTest, AnImageWithoutAShellStillRunsItsPrograms) {
  EXPECT_EQ(Exec({"true"}, "/bare").code, 0);
  Ended shell = Slipway({"shell", path_ + "/bare"});
  EXPECT_EQ(shell.code, 127);
  EXPECT_THAT(shell.err, HasSubstr("/bin/sh: no such file in the container"));
}

TEST_F(FrontTest, RunsTheRunscript) {
  EXPECT_EQ(Slipway({"run", path_ + "/root", "a", "b c"}).out, "running a b c\n");
  Ended none = Slipway({"run", path_ + "/bare"});
  EXPECT_EQ(none.code, 127);
}

TEST_F(FrontTest, EnvironmentIsOfHostImageAndUserInThatOrder) {
  std::string out = Slipway({"exec", "--env", "MINE=x", path_ + "/root", "env"}).out;
  for (const char* entry : {"OUTSIDE=host\n", "FROM_IMAGE=plain\n", "FROM_SHELL=plain shell\n",
                            "BOTH=image\n", "MINE=x\n", "SLIPWAY_NAME=root\n", "APPTAINER_NAME=root\n"}) {
    EXPECT_THAT(out, HasSubstr(entry));
  }
  EXPECT_THAT(out, Not(HasSubstr("SLIPWAYENV_")));
  std::string clean = Slipway({"exec", "-e", "--env", "BOTH=mine", path_ + "/root", "env"}).out;
  EXPECT_THAT(clean, Not(HasSubstr("OUTSIDE")));
  EXPECT_THAT(clean, HasSubstr("BOTH=mine\n"));
  EXPECT_THAT(clean, HasSubstr("HOME=" + path_ + "/home\n"));
}

TEST_F(FrontTest, BindsWhatIsAskedForAndNamesWhatIsNotThere) {
  WriteTo(path_ + "/shared", "from outside\n");
  EXPECT_EQ(Slipway({"exec", "-B", path_ + "/shared:/opt/in:ro", path_ + "/root", "cat", "/opt/in"}).out,
            "from outside\n");
  Ended missing = Slipway({"exec", "-B", "/no/such:/x", path_ + "/root", "true"});
  EXPECT_EQ(missing.code, 125);
  EXPECT_THAT(missing.err, HasSubstr("--bind '/no/such:/x': No such file"));
  EXPECT_THAT(Slipway({"exec", "-B", "/tmp:/x:rx", path_ + "/root", "true"}).err,
              HasSubstr("they are ro, rw"));
}

TEST_F(FrontTest, IsReadOnlyUnlessAskedOtherwiseAndNeverTouchesTheImage) {
  EXPECT_THAT(Exec({"sh", "-c", "echo x > /etc/new"}).err, HasSubstr("Read-only file system"));
  EXPECT_EQ(
      Slipway({"exec", "--writable-tmpfs", path_ + "/root", "sh", "-c", "echo x > /etc/new; cat /etc/new"})
          .out,
      "x\n");
  EXPECT_NE(::access((path_ + "/root/etc/new").c_str(), F_OK), 0);
  EXPECT_NE(::access((path_ + "/root/tmp").c_str(), F_OK), 0);  // mount points are ours, not the image's
  EXPECT_EQ(*ReadFile(path_ + "/root/etc/passwd"), "root:x:0:0::/root:/bin/sh\n");
}

TEST_F(FrontTest, OptionsDoWhatTheySay) {
  EXPECT_EQ(Slipway({"exec", "--hostname", "inside", path_ + "/root", "uname", "-n"}).out, "inside\n");
  EXPECT_EQ(Slipway({"exec", "--pwd", "/etc", path_ + "/root", "sh", "-c", "pwd"}).out, "/etc\n");
  WriteTo(path_ + "/home/secret", "x");
  EXPECT_EQ(
      Slipway({"exec", "--contain", path_ + "/root", "sh", "-c", "ls $HOME; echo x > $HOME/new && ls $HOME"})
          .out,
      "new\n");
  EXPECT_NE(Slipway({"exec", "--no-pid", path_ + "/root", "sh", "-c", "echo $$"}).out,
            Exec({"sh", "-c", "echo $$"}).out);
  Ended explained = Slipway({"exec", "--explain", path_ + "/root", "true"});
  EXPECT_THAT(explained.err, HasSubstr("way: rootless"));
  EXPECT_THAT(explained.err, HasSubstr("pivot"));
  EXPECT_THAT(Slipway({"exec", "--bnd", "x", path_ + "/root", "true"}).err,
              HasSubstr("did you mean '--bind'?"));
  EXPECT_THAT(Slipway({"exec", "--help"}).out,
              StartsWith("slipway exec: run a command in a container\n\nExamples:\n"));
}

TEST_F(FrontTest, SaysWhenTheRestIsNotInstalled) {
  Ended ended = Slipway({"jobs"});
  EXPECT_EQ(ended.code, 125);
  EXPECT_THAT(ended.err, HasSubstr("slipway-remote is not installed"));
}

TEST_F(FrontTest, ForwardsSignals) {
  Running running = Start(
      {"exec", path_ + "/root", "sh", "-c", "trap 'exit 42' TERM; echo up; while :; do sleep 0.05; done"});
  ASSERT_EQ(ReadLine(running.out.get()), "up");
  ASSERT_TRUE(running.process.Signal(SIGTERM));
  EXPECT_EQ(Finish(std::move(running)).code, 42);
}

// Whoever still has the image open keeps this from succeeding.
bool NobodyHasOpen(const std::string& path) {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  do {
    UniqueFd fd = std::move(*Open(path, O_RDWR));
    if (::fcntl(fd.get(), F_SETLEASE, F_WRLCK) == 0) return true;
    ::poll(nullptr, 0, 5);
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

TEST_F(FrontTest, NothingIsLeftWhenItIsKilled) {
  std::string mounts = *ReadFile("/proc/self/mountinfo");
  for (const char* option : {"--pid", "--no-pid"}) {
    bool fuse = HasFuse();
    Running running = Start({"exec", option, path_ + (fuse ? "/image.sif" : "/root"), "sh", "-c",
                             "trap '' TERM INT HUP; (sleep 1000 & sleep 1000) & echo up; sleep 1000"});
    ASSERT_EQ(ReadLine(running.out.get()), "up");
    ASSERT_TRUE(running.process.Signal(SIGKILL));
    // Every process inside holds these two: their end of file is the end of the last one.
    EXPECT_EQ(Finish(std::move(running)).code, 137);
    EXPECT_TRUE(!fuse || NobodyHasOpen(path_ + "/image.sif"));
  }
  EXPECT_EQ(*ReadFile("/proc/self/mountinfo"), mounts);
}

TEST_F(FrontTest, NothingIsLeftWhenItIsKilledWhileTheImageThinks) {
  ASSERT_TRUE(MakeDirectories(path_ + "/slow/.singularity.d/env"));
  ASSERT_TRUE(MakeDirectories(path_ + "/slow/bin"));
  WriteTo(path_ + "/slow/.singularity.d/env/10.sh", "echo thinking; sleep 1000\n");
  for (const char* folder : {"/bin", "/lib", "/lib64"}) {
    if (::access((path_ + "/root" + folder).c_str(), F_OK) == 0) {
      ASSERT_TRUE(MakeDirectories(path_ + "/slow" + folder));
    }
  }
  std::vector<std::string> argv = {"exec"};
  for (const char* folder : {"/bin", "/lib", "/lib64"}) {
    if (::access((path_ + "/root" + folder).c_str(), F_OK) == 0)
      argv.insert(argv.end(), {"-B", Cat(path_, "/root", folder, ":", folder)});
  }
  argv.insert(argv.end(), {path_ + "/slow", "true"});
  Running running = Start(argv);
  ASSERT_EQ(ReadLine(running.err.get()), "thinking");
  ASSERT_TRUE(running.process.Signal(SIGKILL));
  EXPECT_EQ(Finish(std::move(running)).code, 137);
}

}  // namespace
}  // namespace slipway
