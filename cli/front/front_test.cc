// SPDX-License-Identifier: Apache-2.0
// A command in a container, start to end: images, exit codes, signals, and what is left behind.
#include <poll.h>
#include <sys/wait.h>

#include <chrono>

#include "cli/front/testdata/front_fixture.h"

namespace slipway {
namespace {

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
  // What fetches it is not beside this copy of the program.
  EXPECT_THAT(Slipway({"exec", "docker://alpine", "true"}).err, HasSubstr("slipway-images is not installed"));
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
