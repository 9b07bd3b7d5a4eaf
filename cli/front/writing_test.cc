// SPDX-License-Identifier: Apache-2.0
// Where changes go: nowhere, to memory, to a folder beside the image, or into it.
#include "cli/front/testdata/front_fixture.h"

namespace slipway {
namespace {

class WritingTest : public FrontTest {};

TEST_F(WritingTest, IsReadOnlyUnlessAskedOtherwiseAndNeverTouchesTheImage) {
  EXPECT_THAT(Exec({"sh", "-c", "echo x > /etc/new"}).err, HasSubstr("Read-only file system"));
  EXPECT_EQ(
      Slipway({"exec", "--writable-tmpfs", path_ + "/root", "sh", "-c", "echo x > /etc/new; cat /etc/new"})
          .out,
      "x\n");
  EXPECT_NE(::access((path_ + "/root/etc/new").c_str(), F_OK), 0);
  EXPECT_NE(::access((path_ + "/root/tmp").c_str(), F_OK), 0);  // mount points are ours, not the image's
  EXPECT_EQ(*ReadFile(path_ + "/root/etc/passwd"), "root:x:0:0::/root:/bin/sh\n");
}

TEST_F(WritingTest, RootsFilesInAUsersImageCanBeChangedInMemory) {
  if (!HasFuse()) GTEST_SKIP() << "no /dev/fuse";
  for (const char* image : {"/image.sqfs", "/image.sif"}) {
    Ended ended = Slipway(
        {"exec", "--writable-tmpfs", path_ + image, "sh", "-c",
         "echo more >> /bin/data && cat /bin/data && rm /bin/nohashbang && mkdir /bin/new && ls /bin"});
    EXPECT_EQ(ended.err, "") << image;
    EXPECT_THAT(ended.out, StartsWith("x\nmore\n"));
    EXPECT_THAT(ended.out, HasSubstr("new\n"));
    EXPECT_THAT(ended.out, Not(HasSubstr("nohashbang")));
  }
}

TEST_F(WritingTest, MemoryIsBoundedByASize) {
  const std::string fill = "echo x > /small && cat /bin/sh /bin/ls /bin/stat > /big";
  std::vector<std::string> argv = {
      "exec", "--writable-tmpfs", "--tmpfs-size", "64k", path_ + "/root", "sh", "-c", fill};
  EXPECT_THAT(Slipway(argv).err, HasSubstr("No space left"));
  argv[3] = "10%";
  EXPECT_EQ(Slipway(argv).code, 0);
  argv[3] = "huge";
  EXPECT_THAT(Slipway(argv).err, HasSubstr("'huge' is not a size"));
}

TEST_F(WritingTest, AnOverlayFolderKeepsChangesAndCanBeRead) {
  std::string folder = MakeFolder("/overlay"), image = path_ + (HasFuse() ? "/image.sif" : "/root");
  EXPECT_EQ(Slipway({"exec", "--overlay", folder, image, "sh", "-c",
                     "echo kept > /etc/new; echo more >> /bin/data; rm /bin/id"})
                .err,
            "");
  Ended again =
      Slipway({"exec", "--overlay", folder, image, "sh", "-c", "cat /etc/new /bin/data; ls /bin/id"});
  EXPECT_EQ(again.out, "kept\nx\nmore\n");
  EXPECT_THAT(again.err, HasSubstr("/bin/id"));
  Ended read =
      Slipway({"exec", "--overlay", folder + ":ro", image, "sh", "-c", "cat /etc/new; echo x > /etc/new"});
  EXPECT_EQ(read.out, "kept\n");
  EXPECT_THAT(read.err, HasSubstr("Read-only file system"));
  EXPECT_NE(::access((path_ + "/root/etc/new").c_str(), F_OK), 0);
}

TEST_F(WritingTest, LaterOverlaysLieAboveEarlierOnes) {
  std::string low = MakeFolder("/low"), high = MakeFolder("/high");
  for (const std::string& folder : {low, high}) {
    ASSERT_TRUE(MakeDirectories(folder + "/opt"));
    WriteTo(folder + "/opt/which", folder == low ? "low\n" : "high\n");
  }
  WriteTo(low + "/opt/only", "only low\n");
  EXPECT_EQ(Slipway({"exec", "-o", low + ":ro", "-o", high + ":ro", path_ + "/root", "cat", "/opt/which",
                     "/opt/only"})
                .out,
            "high\nonly low\n");
  Ended two = Slipway({"exec", "-o", low, "-o", high, path_ + "/root", "true"});
  EXPECT_EQ(two.code, 125);
  EXPECT_THAT(two.err, HasSubstr("only one can be written to"));
}

TEST_F(WritingTest, AMountPointNeedsNoOverlayToHaveIt) {
  std::string folder = MakeFolder("/points");
  WriteTo(path_ + "/bound", "bound\n");
  EXPECT_EQ(Slipway({"exec", "-o", folder, "-B", path_ + "/bound:/deep/er/file", path_ + "/root", "cat",
                     "/deep/er/file"})
                .out,
            "bound\n");
}

TEST_F(WritingTest, ASquashfsOrAnExtImageIsAnOverlayToRead) {
  if (!HasFuse()) GTEST_SKIP() << "no /dev/fuse";
  std::string tree = MakeFolder("/tree");
  ASSERT_TRUE(MakeDirectories(tree + "/upper/opt"));
  WriteTo(tree + "/upper/opt/thing", "from ext\n");
  std::string image = path_ + "/overlay.img", squashfs = path_ + "/overlay.sqfs";
  ASSERT_TRUE(RunAndCapture({.argv = {"mksquashfs", tree + "/upper", squashfs, "-quiet", "-no-progress"}}));
  EXPECT_EQ(Slipway({"exec", "-o", squashfs, path_ + "/root", "cat", "/opt/thing"}).out, "from ext\n");
  WriteTo(image, std::string(8 << 20, '\0'));
  auto made = RunAndCapture({.argv = {"/sbin/mke2fs", "-q", "-t", "ext3", "-d", tree, image}});
  ASSERT_TRUE(made && made->status.wait_status == 0) << "mke2fs (e2fsprogs) is needed";
  if (::access("/usr/bin/fuse2fs", X_OK) < 0) GTEST_SKIP() << "no fuse2fs";
  EXPECT_EQ(Slipway({"exec", "-o", image + ":ro", path_ + "/root", "cat", "/opt/thing"}).out, "from ext\n");
  EXPECT_EQ(
      Slipway({"exec", "-B", image + ":/d:image-src=/upper/opt", path_ + "/root", "cat", "/d/thing"}).out,
      "from ext\n");
}

TEST_F(WritingTest, OnlyAFolderIsChangedInPlace) {
  ASSERT_EQ(RunAndCapture({.argv = {"cp", "-a", path_ + "/root", path_ + "/sandbox"}})->status.wait_status,
            0);
  if (::geteuid() == 0) {
    ASSERT_EQ(RunAndCapture({.argv = {"chown", "-R", "20001:20001", path_ + "/sandbox"}})->status.wait_status,
              0);
  }
  Ended changed = Slipway({"exec", "-w", path_ + "/sandbox", "sh", "-c", "echo x > /etc/new"});
  EXPECT_EQ(changed.code, 0);
  EXPECT_THAT(changed.err, HasSubstr("warning: not mounted, because --writable changes the image itself"));
  EXPECT_EQ(*ReadFile(path_ + "/sandbox/etc/new"), "x\n");
  EXPECT_NE(::access((path_ + "/sandbox/proc").c_str(), F_OK), 0);  // no mount points are left in it
  Ended bind = Slipway({"exec", "-w", "-B", "/tmp:/nowhere", path_ + "/sandbox", "true"});
  EXPECT_EQ(bind.code, 125);
  EXPECT_THAT(bind.err, HasSubstr("make it there (mkdir " + path_ + "/sandbox/nowhere) or leave --writable"));
  Ended sif = Slipway({"exec", "-w", path_ + "/image.sif", "true"});
  EXPECT_EQ(sif.code, 125);
  EXPECT_THAT(sif.err, HasSubstr("is a SIF, which nothing can change; use --overlay DIR"));
  EXPECT_THAT(Slipway({"exec", "-w", "--writable-tmpfs", path_ + "/sandbox", "true"}).err,
              HasSubstr("leave one of them"));
}

TEST_F(WritingTest, SaysWhatOfRootsImageCannotBeChanged) {
  if (::geteuid() != 0) GTEST_SKIP() << "it takes a folder of root's";
  Ended ended = Slipway({"exec", "--writable-tmpfs", path_ + "/root", "sh", "-c", "echo x >> /bin/data"});
  EXPECT_THAT(ended.err, HasSubstr("warning: files of this image that belong to root"));
}

}  // namespace
}  // namespace slipway
