// SPDX-License-Identifier: Apache-2.0
// An ext3 image as the place where changes go: what a user of Apptainer's has. The images are real ones, by
// mke2fs, and e2fsck judges them afterwards.
#include <sys/file.h>

#include <filesystem>

#include "cli/front/testdata/front_fixture.h"

namespace slipway {
namespace {

std::string Linked(const std::string& link) {
  std::error_code error;
  return std::filesystem::read_symlink(link, error).string();
}

// The processes that have `file` open, ours not among them. Root sees all; a user none of the servers.
std::vector<pid_t> UsersOf(const std::string& file) {
  std::vector<pid_t> users;
  for (const std::string& name : NamesIn("/proc").value_or(std::vector<std::string>())) {
    pid_t pid = std::atoi(name.c_str());
    if (pid <= 0 || pid == ::getpid()) continue;
    std::string folder = Cat("/proc/", name, "/fd");
    for (const std::string& fd : NamesIn(folder).value_or(std::vector<std::string>())) {
      if (Linked(Cat(folder, "/", fd)) != file) continue;
      users.push_back(pid);
      break;
    }
  }
  return users;
}

class ExtOverlayTest : public FrontTest {
 protected:
  void SetUp() override {
    if (!HasFuse()) GTEST_SKIP() << "no /dev/fuse";
    for (const char* program : {"/usr/bin/fuse2fs", "/usr/bin/fuse-overlayfs"}) {
      if (::access(program, X_OK) < 0) GTEST_SKIP() << program << " is not installed";
    }
  }

  // Of the user's, with the folders that Apptainer makes; `owner` is that of what is in it.
  static std::string MakeImage(const std::string& name, const std::string& size = "16M",
                               uid_t owner = kUser) {
    std::string image = path_ + name, tree = image + ".d";
    EXPECT_TRUE(MakeDirectories(tree + "/upper") && MakeDirectories(tree + "/work"));
    for (const char* folder : {"", "/upper", "/work"})
      EXPECT_TRUE(::geteuid() != 0 || ::chown((tree + folder).c_str(), owner, owner) == 0);
    auto made = RunAndCapture({.argv = {"/sbin/mke2fs", "-q", "-t", "ext3", "-d", tree, image, size}});
    EXPECT_TRUE(made && made->status.wait_status == 0) << "mke2fs (e2fsprogs) is needed";
    EXPECT_TRUE(::geteuid() != 0 || ::chown(image.c_str(), kUser, kUser) == 0);
    return image;
  }

  static Ended Write(const std::string& image, const std::string& script) {
    return Slipway({"exec", "-o", image, path_ + "/image.sif", "sh", "-c", script});
  }
  static Running StartWriting(const std::string& image, const std::string& script) {
    Running running = Start({"exec", "-o", image, path_ + "/image.sif", "sh", "-c", script});
    EXPECT_EQ(ReadLine(running.out.get()), "up");
    return running;
  }

  static void ExpectClean(const std::string& image) {
    auto checked = RunAndCapture({.argv = {"/sbin/e2fsck", "-fn", image}});
    ASSERT_TRUE(checked);
    EXPECT_EQ(checked->status.exit_code(), 0) << checked->out;
  }
  // Waits for whoever has the image to let it go.
  static void ExpectLeftAlone(const std::string& image) {
    UniqueFd file = std::move(*Open(image, O_RDWR));
    ASSERT_EQ(::flock(file.get(), LOCK_EX), 0);
    EXPECT_TRUE(UsersOf(image).empty());
  }

  // The container's init: the last child of the front's only one.
  static pid_t InitOf(const Running& running) {
    auto children = [](pid_t pid) {
      std::vector<pid_t> pids;
      for (const std::string& one :
           Split(ReadFile(Cat("/proc/", pid, "/task/", pid, "/children")).value_or(""), ' ')) {
        if (!one.empty()) pids.push_back(std::atoi(one.c_str()));
      }
      return pids;
    };
    return children(children(running.process.pid()).at(0)).back();
  }
};

TEST_F(ExtOverlayTest, WhatOneRunWroteTheNextOneFinds) {
  std::string image = MakeImage("/kept.img");
  Ended first = Write(image,
                      "echo kept > /etc/new; echo more >> /bin/data; rm /bin/id; mv /bin/uname /bin/renamed;"
                      "ln /etc/new /etc/hard; ln -s new /etc/soft; mkdir -p /made/deep; mv /made /moved;"
                      "rm -r /.singularity.d; mkdir /.singularity.d");
  EXPECT_EQ(first.err, "");
  EXPECT_EQ(first.code, 0);
  ExpectClean(image);
  const std::string look =
      "cat /etc/new /bin/data /etc/soft; stat -c %h /etc/hard; ls -d /moved/deep /bin/renamed; ls "
      "/.singularity.d; ls /bin/id /bin/uname";
  const std::string seen = "kept\nx\nmore\nkept\n2\n/bin/renamed\n/moved/deep\n";
  const std::string root = path_ + "/image.sif";
  for (const std::vector<std::string>& argv : std::vector<std::vector<std::string>>{
           {"exec", "-o", image, root, "sh", "-c", look},
           {"exec", "--no-pid", "-o", image, root, "sh", "-c", look},
           {"exec", "-o", image + ":ro", root, "sh", "-c", look},
           {"exec", "-o", image + ":ro", "--writable-tmpfs", root, "sh", "-c", look}}) {
    Ended again = Slipway(argv);
    EXPECT_EQ(again.out, seen) << testing::PrintToString(argv) << again.err;
    EXPECT_THAT(again.err, HasSubstr("'/bin/id'"));
    EXPECT_THAT(again.err, HasSubstr("'/bin/uname'"));
  }
  ExpectClean(image);
  ExpectLeftAlone(image);
}

TEST_F(ExtOverlayTest, LiesOverFoldersAndOtherOverlaysAndUnderMounts) {
  std::string image = MakeImage("/over.img"), folder = MakeFolder("/below");
  MakeFolder("/below/opt");
  WriteTo(folder + "/opt/below", "below\n");
  WriteTo(path_ + "/mounted", "mounted\n");
  for (const char* round : {"1", "2"}) {
    Ended ended =
        Slipway({"exec", "--no-pid", "-o", folder + ":ro", "-o", image, "-B",
                 path_ + "/mounted:/deep/er/file", path_ + "/root", "sh", "-c",
                 Cat("cat /opt/below /deep/er/file; echo ", round, " > /opt/round", round, "; ls /opt")});
    EXPECT_EQ(ended.out, Cat("below\nmounted\nbelow\nround1\n", *round == '2' ? "round2\n" : ""));
  }
  EXPECT_NE(::access((folder + "/opt/round1").c_str(), F_OK), 0);
  EXPECT_NE(::access((path_ + "/root/opt").c_str(), F_OK), 0);
  ExpectClean(image);
}

TEST_F(ExtOverlayTest, MakesItsFoldersInAnEmptyImage) {
  std::string image = path_ + "/empty.img";
  auto make = [&](const std::string& owner) {
    auto made = RunAndCapture(
        {.argv = {"/sbin/mke2fs", "-q", "-F", "-t", "ext3", "-E", "root_owner=" + owner, image, "16M"}});
    ASSERT_TRUE(made && made->status.wait_status == 0);
    ASSERT_TRUE(::geteuid() != 0 || ::chown(image.c_str(), kUser, kUser) == 0);
  };
  make("0:0");
  EXPECT_EQ(Slipway({"exec", "--fakeroot", "--ignore-subuid", "-o", image, path_ + "/image.sif", "true"}).err,
            "");
  make("0:0");
  EXPECT_THAT(Write(image, "true").err,
              HasSubstr("use it with --fakeroot if it is root's, or make an image of your own: mkfs.ext3 -E "
                        "root_owner="));
  std::string user = std::to_string(::geteuid() == 0 ? kUser : ::geteuid());
  make(Cat(user, ":", user));
  EXPECT_EQ(Write(image, "echo x > /etc/new").err, "");
  EXPECT_EQ(Write(image, "cat /etc/new").out, "x\n");
  ExpectClean(image);
}

TEST_F(ExtOverlayTest, HasOneWriterOrSeveralReaders) {
  std::string image = MakeImage("/shared.img");
  Running writer = StartWriting(image, "echo up; exec sleep 1000");
  Ended second = Write(image, "true");
  EXPECT_EQ(second.code, 125);
  EXPECT_THAT(second.err, HasSubstr("shared.img: is in use by another container"));
  EXPECT_THAT(second.err, HasSubstr("wait for the other's end, or use a copy\n"));
  Ended reader = Write(image + ":ro", "true");
  EXPECT_EQ(reader.code, 125);
  EXPECT_THAT(reader.err, HasSubstr("shared.img: another container writes to it"));
  ASSERT_TRUE(writer.process.Signal(SIGTERM));
  EXPECT_EQ(Finish(std::move(writer)).code, 128 + SIGTERM);

  Running reading = StartWriting(image + ":ro", "echo up; exec sleep 1000");
  EXPECT_EQ(Write(image + ":ro", "echo beside").out, "beside\n");
  EXPECT_THAT(Write(image, "true").err, HasSubstr("is in use by another container"));
  ASSERT_TRUE(reading.process.Signal(SIGTERM));
  Finish(std::move(reading));
  EXPECT_EQ(Write(image, "echo x > /x; cat /x").out, "x\n");
  ExpectClean(image);
}

TEST_F(ExtOverlayTest, IsWholeWhenTheFrontIsKilled) {
  std::string image = MakeImage("/front.img");
  Running running = StartWriting(
      image, "echo synced > /synced; sync /synced; echo written > /written; echo up; exec sleep 1000");
  ASSERT_TRUE(running.process.Signal(SIGKILL));
  EXPECT_EQ(Finish(std::move(running)).code, 128 + SIGKILL);
  ExpectLeftAlone(image);
  ExpectClean(image);
  Ended next = Write(image, "cat /synced /written");
  EXPECT_EQ(next.out, "synced\nwritten\n");
  EXPECT_EQ(next.err, "");
}

TEST_F(ExtOverlayTest, NoTaskCanKillItsServers) {
  std::string image = MakeImage("/reach.img");
  // A folder below it: a squashfuse would be within reach.
  Ended ended = Slipway({"exec", "-o", image, path_ + "/root", "sh", "-c",
                         "sleep 1000 & echo written > /written; kill -9 -1; cat /written /proc/[0-9]*/comm"});
  EXPECT_THAT(ended.out, StartsWith("written\n"));
  EXPECT_THAT(ended.out, Not(HasSubstr("fuse2fs")));
  EXPECT_THAT(ended.out, Not(HasSubstr("fuse-overlayfs")));
  ExpectLeftAlone(image);
  ExpectClean(image);
  EXPECT_EQ(Write(image, "cat /written").err, "");
}

TEST_F(ExtOverlayTest, IsWholeWhenTheContainersInitIsKilled) {
  if (::geteuid() != 0) GTEST_SKIP() << "it takes root to kill an init from outside";
  std::string image = MakeImage("/init.img");
  Running running = StartWriting(image, "echo written > /written; echo up; exec sleep 1000");
  ASSERT_EQ(::kill(InitOf(running), SIGKILL), 0);
  EXPECT_EQ(Finish(std::move(running)).code, 125);
  ExpectLeftAlone(image);
  ExpectClean(image);
  EXPECT_EQ(Write(image, "cat /written").out, "written\n");
}

TEST_F(ExtOverlayTest, IsRepairedWhenItsServerWasKilledAndHasWhatWasSynced) {
  if (::geteuid() != 0) GTEST_SKIP() << "it takes root to find the server";
  std::string image = MakeImage("/killed.img");
  Running running =
      StartWriting(image,
                   "mkdir /many && for i in 1 2 3 4 5 6 7 8; do cat /bin/data > /many/$i; done;"
                   "echo synced > /synced; sync /synced; rm -r /many; echo up; exec sleep 1000");
  for (pid_t pid : UsersOf(image)) {
    if (ReadFile(Cat("/proc/", pid, "/comm")).value_or("") != "fuse2fs\n") continue;
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
  }
  ASSERT_TRUE(running.process.Signal(SIGTERM));
  EXPECT_THAT(Finish(std::move(running)).err,
              HasSubstr("a server of the ext3 image was killed: what had not been synced may be lost"));
  ExpectLeftAlone(image);
  Ended next = Write(image, "cat /synced; echo x > /x");
  EXPECT_EQ(next.out, "synced\n");
  EXPECT_THAT(next.err,
              HasSubstr("the image had not been closed the last time (killed?); e2fsck has put it right"));
  ExpectClean(image);
  EXPECT_EQ(Write(image, "cat /x").err, "");
}

TEST_F(ExtOverlayTest, AFullImageSaysSo) {
  std::string image = MakeImage("/full.img", "4M");
  Ended ended = Write(image, "while cat /bin/sh /bin/ls >> /big; do :; done");
  EXPECT_THAT(ended.err, HasSubstr("No space left on device"));
  ExpectClean(image);
  EXPECT_EQ(Write(image, ": > /big && rm /big && echo room > /room && cat /room").out, "room\n");
  ExpectClean(image);
}

TEST_F(ExtOverlayTest, BelongsToRootOfTheContainerWithFakeroot) {
  if (::geteuid() != 0) GTEST_SKIP() << "it takes root to lend ids";
  std::string image = MakeImage("/roots.img", "16M", 0);
  Ended alone =
      Slipway({"exec", "--fakeroot", "--ignore-subuid", "-o", image, path_ + "/image.sif", "sh", "-c",
               "echo x > /etc/new; echo more >> /bin/data; rm /bin/id; stat -c %u /etc/new /bin/data"});
  EXPECT_EQ(alone.err, "");
  EXPECT_EQ(alone.out, "0\n0\n");
  Ended lent =
      Slipway({"exec", "--fakeroot", "-o", image, path_ + "/image.sif", "sh", "-c",
               "cat /bin/data; chown 7:8 /etc/new; echo y > /etc/other; chown 9 /bin/data; stat -c %u:%g "
               "/etc/new /bin/data"},
              {.ranges = true});
  EXPECT_EQ(lent.err, "");
  EXPECT_EQ(lent.out, "x\nmore\n7:8\n9:0\n");
  Ended self = Write(image, "true");
  EXPECT_EQ(self.code, 125);
  EXPECT_THAT(self.err, HasSubstr("the image is one of root's, to be used with --fakeroot"));
  EXPECT_THAT(Slipway({"exec", "--fakeroot", "--ignore-subuid", "-o", MakeImage("/users.img"),
                       path_ + "/image.sif", "true"})
                  .err,
              HasSubstr("the image was not made for --fakeroot with these ids"));
  ExpectClean(image);
  ExpectLeftAlone(image);
}

TEST_F(ExtOverlayTest, WhatCannotBeWrittenToIsNamedWithTheCure) {
  std::string image = MakeImage("/refused.img");
  Ended tmpfs = Slipway({"exec", "--writable-tmpfs", "-o", image, path_ + "/root", "true"});
  EXPECT_EQ(tmpfs.code, 125);
  EXPECT_THAT(tmpfs.err, HasSubstr("--writable-tmpfs and a writable --overlay: changes can go to one place"));
  std::string sif = SifAround(*ReadFile(image, 64 << 20), 16 << 20);
  sif.replace(4096 + 201, 8, Little(2, 4) + Little(4, 4));  // ext3, an overlay
  WriteTo(path_ + "/overlay.sif", sif);
  Ended part = Slipway({"exec", "-o", path_ + "/overlay.sif", path_ + "/root", "true"});
  EXPECT_EQ(part.code, 125);
  EXPECT_THAT(part.err,
              HasSubstr("a SIF is not written to here, so the ext3 overlay in it can only be read: add "
                        ":ro"));
  EXPECT_EQ(Slipway({"exec", "-o", path_ + "/overlay.sif:ro", path_ + "/root", "true"}).err, "");
  ASSERT_EQ(::chmod(image.c_str(), 0444), 0);
  Ended denied = Write(image, "true");
  EXPECT_EQ(denied.code, 125);
  EXPECT_THAT(denied.err, HasSubstr("cannot be written to (Permission denied); use it read-only"));
}

TEST_F(ExtOverlayTest, TakesTheRootlessWayByItselfAndSaysWhy) {
  std::string image = MakeImage("/way.img");
  Ended ended = Slipway({"exec", "--explain", "-o", image, path_ + "/root", "true"});
  EXPECT_THAT(ended.err, HasSubstr("way: rootless"));
  EXPECT_THAT(ended.err,
              HasSubstr("not brokered: --overlay " + image + " is an ext3 file system, served by"));
  EXPECT_THAT(ended.err, HasSubstr("changes go there through fuse-overlayfs and fuse2fs"));
  Ended brokered = Slipway({"exec", "--way", "brokered", "-o", image, path_ + "/root", "true"});
  EXPECT_EQ(brokered.code, 125);
  EXPECT_THAT(brokered.err, HasSubstr("only a namespace of your own gives"));
}

TEST_F(ExtOverlayTest, AnInstanceLeavesItWhole) {
  std::string image = MakeImage("/instance.img");
  std::vector<std::pair<std::string, std::string>> env = {{"XDG_RUNTIME_DIR", MakeFolder("/run")}};
  ASSERT_EQ(::chmod((path_ + "/run").c_str(), 0700), 0);
  Ended up = Slipway({"instance", "start", "-o", image, path_ + "/image.sif", "ext"}, {.env = env});
  ASSERT_EQ(up.code, 0) << up.err;
  EXPECT_EQ(Slipway({"exec", "instance://ext", "sh", "-c", "echo x > /x"}, {.env = env}).err, "");
  EXPECT_EQ(Slipway({"instance", "stop", "ext"}, {.env = env}).code, 0);
  ExpectLeftAlone(image);
  ExpectClean(image);
  EXPECT_EQ(Write(image, "cat /x").out, "x\n");
}

}  // namespace
}  // namespace slipway
