// SPDX-License-Identifier: Apache-2.0
// The parts of the container's child that need no namespace.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher/container/environment.h"
#include "launcher/container/layer.h"
#include "launcher/container/program.h"

namespace slipway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(PlainScript, IsReadWithoutAShell) {
  Environment env = {"OLD=1"};
  EXPECT_TRUE(ApplyPlainScript(
      "#!/bin/sh\n# words\n\nexport A=1\nexport B=\"two words\"\n  export C='$x'\"y\"\nOLD=2\nexport D=;\n",
      env));
  EXPECT_THAT(env, ElementsAre("A=1", "B=two words", "C=$xy", "OLD=2", "D="));
}

TEST(PlainScript, IsLeftToTheShellWhenItTakesOne) {
  for (const char* script :
       {"export PATH=/x:$PATH", "export A=`date`", "if true; then export A=1; fi", "export A=1 B=2", "A=1",
        "export A=\"un\nfinished\"", "export A=a\\ b", "umask 0", "export A", "export A=1; rm -rf /",
        "export A=(1 2)", "export 1A=1", "export A=~", "export A=\"a\"&b"}) {
    Environment env = {"KEPT=1"};
    EXPECT_FALSE(ApplyPlainScript(script, env)) << script;
    EXPECT_THAT(env, ElementsAre("KEPT=1")) << script;
  }
}

TEST(ContainerEnvironment, LetsWhatWasSaidForTheContainerWin) {
  auto env = *ContainerEnvironment(
      {"PATH=/host/bin", "A=1", "SINGULARITYENV_B=old", "SLIPWAYENV_B=new", "APPTAINERENV_A=2"},
      {.environment = false});
  EXPECT_EQ(Lookup(env, "A"), "2");
  EXPECT_EQ(Lookup(env, "B"), "new");
  EXPECT_EQ(Lookup(env, "PATH"), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  EXPECT_EQ(Lookup(env, "SLIPWAYENV_B"), "");
}

class FolderTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = *MakeTempDirectory("/tmp", "slipway-container-test-");
    ASSERT_TRUE(MakeDirectories(path_ + "/image/etc"));
    ASSERT_TRUE(MakeDirectories(path_ + "/layer"));
    image_ = std::move(*Open(path_ + "/image", O_PATH | O_DIRECTORY));
    layer_ = std::move(*Open(path_ + "/layer", O_PATH | O_DIRECTORY));
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(path_)); }
  void Write(const std::string& name, const std::string& content, unsigned mode = 0644) {
    std::string path = path_ + name;
    UniqueFd fd = std::move(*Open(path, O_WRONLY | O_CREAT | O_TRUNC, mode));
    ASSERT_TRUE(WriteAll(fd.get(), content));
    ASSERT_EQ(::fchmod(fd.get(), mode), 0);
  }
  void Link(const std::string& to, const std::string& name) {
    ASSERT_EQ(::symlink(to.c_str(), (path_ + name).c_str()), 0);
  }
  bool IsDirectory(const std::string& name) {
    struct stat info {};
    return ::lstat((path_ + name).c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  }
  std::string path_;
  UniqueFd image_, layer_;
};

TEST_F(FolderTest, LayerMakesOnlyWhatTheImageLacks) {
  Layer layer(image_.get(), layer_.get());
  EXPECT_TRUE(layer.NeedMountPoint("/etc", true));
  EXPECT_FALSE(layer.used());
  EXPECT_TRUE(layer.NeedMountPoint("/home/alice", true));
  EXPECT_TRUE(layer.NeedMountPoint("/etc/hosts", false));
  EXPECT_TRUE(layer.used());
  EXPECT_TRUE(IsDirectory("/layer/home/alice"));
  EXPECT_EQ(*ReadFile(path_ + "/layer/etc/hosts"), "");
  EXPECT_FALSE(IsDirectory("/image/home"));
}

TEST_F(FolderTest, LayerFollowsSymlinksInsideTheImage) {
  Link("../run/resolv", "/image/etc/resolv.conf");
  Link("/usr/home/", "/image/home");
  Link("../../../../..", "/image/etc/out");
  Link("loop", "/image/loop");
  Layer layer(image_.get(), layer_.get());
  EXPECT_TRUE(layer.NeedMountPoint("/etc/resolv.conf", false));
  EXPECT_EQ(*ReadFile(path_ + "/layer/run/resolv"), "");
  EXPECT_TRUE(layer.NeedMountPoint("/home/alice", true));
  EXPECT_TRUE(IsDirectory("/layer/usr/home/alice"));
  EXPECT_TRUE(layer.NeedMountPoint("/etc/out/mine", true));
  EXPECT_TRUE(IsDirectory("/layer/mine"));
  EXPECT_THAT(layer.NeedMountPoint("/loop/x", true).error().message, HasSubstr("too many symbolic links"));
}

TEST_F(FolderTest, LayerRefusesAFileOverADirectory) {
  Write("/image/etc/hosts", "x");
  Layer layer(image_.get(), layer_.get());
  EXPECT_THAT(layer.NeedMountPoint("/etc", false).error().message,
              HasSubstr("the image has a directory there"));
  EXPECT_THAT(layer.NeedMountPoint("/etc/hosts", true).error().message,
              HasSubstr("the image has a file there"));
  EXPECT_THAT(layer.NeedMountPoint("/etc/hosts/x", true).error().message, HasSubstr("not a directory"));
}

TEST_F(FolderTest, AccountLineIsAddedOnceAndNeverReplaces) {
  Write("/image/etc/passwd", "root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/bin/false");
  Layer layer(image_.get(), layer_.get());
  EXPECT_TRUE(layer.AddAccountLine("/etc/passwd", "toor:x:0:0::/:/bin/sh"));
  EXPECT_TRUE(layer.AddAccountLine("/etc/passwd", "daemon:x:7:7::/:/bin/sh"));
  EXPECT_FALSE(layer.used());
  EXPECT_TRUE(layer.AddAccountLine("/etc/passwd", "alice:x:1001:1001::/home/alice:/bin/sh"));
  EXPECT_EQ(
      *ReadFile(path_ + "/layer/etc/passwd"),
      "root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/bin/false\nalice:x:1001:1001::/home/alice:/bin/sh\n");
}

TEST_F(FolderTest, LookUpTellsMissingFromUnusable) {
  ASSERT_TRUE(MakeDirectories(path_ + "/a"));
  ASSERT_TRUE(MakeDirectories(path_ + "/b/folder"));
  Write("/a/data", "x", 0644);
  Write("/b/tool", "#!/nonexistent/sh\n", 0755);
  std::string search = Cat(path_, "/a:", path_, "/b");
  EXPECT_EQ(*FindProgram("tool", search), path_ + "/b/tool");
  EXPECT_EQ(ExitCodeFor(FindProgram("data", search).error()), 126);
  EXPECT_EQ(ExitCodeFor(FindProgram("folder", search).error()), 127);
  EXPECT_EQ(ExitCodeFor(FindProgram("nothing", search).error()), 127);
  EXPECT_EQ(ExitCodeFor(FindProgram(path_ + "/b/folder", search).error()), 126);
  EXPECT_THAT(ExecError(path_ + "/b/tool", ENOENT).message,
              HasSubstr("its interpreter /nonexistent/sh is missing"));
}

}  // namespace
}  // namespace slipway
