// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cstdlib>
#include <fstream>

#include "base/os/fd.h"
#include "base/os/mount.h"
#include "base/os/process.h"
#include "imagestore/squashfs/pack.h"
#include "imagestore/squashfs/reader.h"

namespace slipway::squashfs {
namespace {

class Squashfs : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = MakeTempDirectory(::testing::TempDir(), "slipway-squashfs-");
    ASSERT_TRUE(made) << made.error().message;
    top_ = *made;
    tree_ = top_ + "/tree";
    ASSERT_EQ(::mkdir(tree_.c_str(), 0755), 0);
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(top_)); }

  void WriteFile(const std::string& name, const std::string& bytes, unsigned mode = 0644) {
    std::string path = tree_ + "/" + name;
    std::ofstream(path, std::ios::binary) << bytes;
    ::chmod(path.c_str(), mode);
  }
  // Hard links, symlinks, empty and large files, holes, many small ones, user attributes.
  void FillTree() {
    for (const char* dir : {"bin", "etc", "etc/deep", "var", "empty"})
      ::mkdir((tree_ + "/" + dir).c_str(), 0755);
    WriteFile("bin/sh", "#!shell\n", 0755);
    WriteFile("etc/empty", "");
    big_.resize(3'000'000);
    for (std::size_t i = 0; i < big_.size(); ++i) big_[i] = static_cast<char>((i * 2654435761U) >> 13);
    big_.append(500'000, '\0');
    WriteFile("var/big", big_);
    for (int i = 0; i < 700; ++i) WriteFile(Cat("etc/deep/small", i), Cat("content ", i));
    ASSERT_EQ(::link((tree_ + "/bin/sh").c_str(), (tree_ + "/etc/hard").c_str()), 0);
    ASSERT_EQ(::link((tree_ + "/bin/sh").c_str(), (tree_ + "/zz-hard").c_str()), 0);
    ASSERT_EQ(::symlink("../bin/sh", (tree_ + "/etc/link").c_str()), 0);
    ASSERT_EQ(::symlink("/etc/link", (tree_ + "/abs").c_str()), 0);
    ASSERT_EQ(::symlink("loop", (tree_ + "/loop").c_str()), 0);
    has_xattrs_ = ::setxattr((tree_ + "/bin/sh").c_str(), "user.note", "hello", 5, 0) == 0;
  }
  UniqueFd Output(const std::string& name) {
    auto fd = Open(top_ + "/" + name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    EXPECT_TRUE(fd) << fd.error().message;
    return std::move(*fd);
  }
  Result<PackSummary> Pack(int out_fd, PackOptions options = {}) {
    UniqueFd dir = TRY(Open(tree_, O_RDONLY | O_DIRECTORY));
    if (!options.epoch) options.epoch = 1'700'000'000;
    return PackDirectory(dir.get(), out_fd, options);
  }
  static Window WindowOf(int fd, std::uint64_t offset = 0) {
    struct stat info;
    EXPECT_EQ(::fstat(fd, &info), 0);
    return {fd, offset, static_cast<std::uint64_t>(info.st_size) - offset};
  }
  static std::string Bytes(int fd) {
    Window all = WindowOf(fd);
    std::string bytes(all.size, '\0');
    EXPECT_TRUE(ReadExactlyAt(fd, std::as_writable_bytes(std::span(bytes)), 0));
    return bytes;
  }
  void ExpectTree(const Window& window) {
    auto reader = Reader::Open(window);
    ASSERT_TRUE(reader) << reader.error().message;
    EXPECT_EQ(reader->super().compressor, "zstd");
    EXPECT_EQ(reader->ReadFile("/bin/sh", 100).value_or("?"), "#!shell\n");
    EXPECT_EQ(reader->ReadFile("etc/empty", 100).value_or("?"), "");
    EXPECT_TRUE(reader->ReadFile("var/big", 1 << 24).value_or("?") == big_);
    EXPECT_EQ(reader->ReadFile("etc/deep/small699", 100).value_or("?"), "content 699");
    EXPECT_EQ(reader->ReadFile("/etc/hard", 100).value_or("?"), "#!shell\n");
    EXPECT_EQ(reader->ReadFile("/abs", 100).value_or("?"), "#!shell\n");
    EXPECT_EQ(reader->ReadHead("var/big", 10).value_or("?"), big_.substr(0, 10));
    EXPECT_EQ(reader->Find("loop").error().code, Code::kInvalidArgument);
    EXPECT_EQ(reader->Find("nothing").error().code, Code::kNotFound);
    EXPECT_EQ(reader->ReadFile("var/big", 100).error().code, Code::kOutOfRange);
    EXPECT_EQ(reader->List("/", 100).value_or(std::vector<std::string>{}).size(), 7U);
  }

  std::string top_, tree_, big_;
  bool has_xattrs_ = false;
};

TEST_F(Squashfs, PackedTreeReadsBackWhole) {
  FillTree();
  UniqueFd out = Output("image");
  auto summary = Pack(out.get());
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->entries, 714U);
  EXPECT_EQ(summary->bytes_out % 4096, 0U);
  ExpectTree(WindowOf(out.get()));
}

TEST_F(Squashfs, EqualInputGivesEqualBytesWhateverTheThreads) {
  FillTree();
  UniqueFd one = Output("one"), two = Output("two");
  PackOptions options;
  options.workers = 1;
  ASSERT_TRUE(Pack(one.get(), options));
  options.workers = 3;
  ASSERT_TRUE(Pack(two.get(), options));
  EXPECT_TRUE(Bytes(one.get()) == Bytes(two.get()));
}

TEST_F(Squashfs, RepackedImageHoldsTheSameAndPackedAtAnOffsetToo) {
  FillTree();
  UniqueFd first = Output("first"), second = Output("second");
  PackOptions at_offset;
  at_offset.out_offset = 8192;
  ASSERT_TRUE(Pack(first.get(), at_offset));
  auto summary = Repack(WindowOf(first.get(), 8192), second.get(), {.policy = ImportPolicy()});
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->entries, 714U);
  ExpectTree(WindowOf(second.get()));
  UniqueFd third = Output("third");
  ASSERT_TRUE(Repack(WindowOf(second.get()), third.get(), {.policy = ImportPolicy()}));
  EXPECT_TRUE(Bytes(second.get()) == Bytes(third.get())) << "re-packing our own output changes it";
}

TEST_F(Squashfs, UnpackedImagePacksToTheSameBytes) {
  FillTree();
  UniqueFd first = Output("first"), second = Output("second");
  ASSERT_TRUE(Pack(first.get()));
  std::string copy = top_ + "/copy";
  ASSERT_EQ(::mkdir(copy.c_str(), 0755), 0);
  auto dir = Open(copy, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(dir);
  auto unpacked = Unpack(WindowOf(first.get()), dir->get());
  ASSERT_TRUE(unpacked) << unpacked.error().message;
  tree_ = copy;
  struct stat info;
  ASSERT_EQ(::stat((copy + "/bin/sh").c_str(), &info), 0);
  EXPECT_EQ(info.st_nlink, 3U);
  PackOptions options;
  ASSERT_TRUE(Pack(second.get(), options));
  auto reader = Reader::Open(WindowOf(second.get()));
  ASSERT_TRUE(reader);
  ExpectTree(WindowOf(second.get()));
}

TEST_F(Squashfs, PolicyRefusesOrDropsAndLists) {
  WriteFile("su", "x", 04755);
  if (::geteuid() == 0) {
    ASSERT_EQ(::mknod((tree_ + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  }
  UniqueFd out = Output("image");
  auto summary = Pack(out.get());
  ASSERT_TRUE(summary) << summary.error().message;
  ASSERT_EQ(summary->dropped_count, ::geteuid() == 0 ? 2U : 1U);
  EXPECT_EQ(summary->dropped.back(), "set-id bit: su");
  auto reader = Reader::Open(WindowOf(out.get()));
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->Find("su")->mode, 0755U);
  EXPECT_EQ(reader->Find("null").error().code, Code::kNotFound);
  PackOptions strict;
  strict.policy.set_id = Treatment::kRefuse;
  strict.policy.devices = Treatment::kKeep;
  EXPECT_EQ(Pack(out.get(), strict).error().code, Code::kPermissionDenied);
  if (::geteuid() != 0) GTEST_SKIP() << "device nodes need root";
  PackOptions keep;
  keep.policy.devices = keep.policy.set_id = Treatment::kKeep;
  UniqueFd with_device = Output("with-device"), imported = Output("imported");
  ASSERT_TRUE(Pack(with_device.get(), keep));
  EXPECT_EQ(Reader::Open(WindowOf(with_device.get()))->Find("null")->kind, Kind::kDevice);
  auto refused = Repack(WindowOf(with_device.get()), imported.get(), {.policy = ImportPolicy()});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "refused: null is or has a device node");
}

TEST_F(Squashfs, LimitsStopTheWork) {
  FillTree();
  UniqueFd out = Output("image");
  PackOptions few;
  few.limits.entries_max = 10;
  EXPECT_EQ(Pack(out.get(), few).error().code, Code::kOutOfRange);
  PackOptions small;
  small.limits.bytes_max = 1000;
  EXPECT_EQ(Pack(out.get(), small).error().code, Code::kOutOfRange);
  ASSERT_TRUE(Pack(out.get()));
  UniqueFd again = Output("again");
  EXPECT_EQ(Repack(WindowOf(out.get()), again.get(), small).error().code, Code::kOutOfRange);
  EXPECT_EQ(Repack(WindowOf(out.get()), again.get(), few).error().code, Code::kOutOfRange);
}

TEST_F(Squashfs, ProgressCanCancel) {
  FillTree();
  UniqueFd out = Output("image");
  PackOptions options;
  options.progress = [](const Progress&) -> Result<> { return Fail(Code::kCancelled, "stop"); };
  EXPECT_EQ(Pack(out.get(), options).error().code, Code::kCancelled);
}

// Files take their time on some file systems, also empty ones.
TEST_F(Squashfs, AnUnpackThatIsCancelledEndsAtTheNextEntry) {
  for (int i = 0; i < 20; ++i) std::ofstream(Cat(tree_, "/empty", i));
  UniqueFd image = Output("image");
  ASSERT_TRUE(Pack(image.get()));
  std::string out = MakeTempDirectory(top_, "unpacked-").value();
  auto to = Open(out, O_RDONLY | O_DIRECTORY);
  PackOptions options;
  int calls = 0;
  options.progress = [&](const Progress&) -> Result<> {
    return ++calls > 3 ? Result<>(Fail(Code::kCancelled, "cancelled")) : Result<>();
  };
  auto unpacked = Unpack(WindowOf(image.get()), to->get(), options);
  ASSERT_FALSE(unpacked);
  EXPECT_EQ(unpacked.error().code, Code::kCancelled);
  EXPECT_LE(NamesIn(out)->size(), 3U);
}

TEST_F(Squashfs, EveryTruncationAndDamageIsRefusedOrReadWithoutHarm) {
  WriteFile("a", "hello");
  ::mkdir((tree_ + "/d").c_str(), 0755);
  WriteFile("d/b", std::string(200'000, 'b') + "tail");
  UniqueFd out = Output("image"), again = Output("again");
  auto summary = Pack(out.get());
  ASSERT_TRUE(summary);
  std::string whole = Bytes(out.get());
  auto try_bytes = [&](const std::string& bytes) {
    UniqueFd file = Output("damaged");
    EXPECT_TRUE(WriteAll(file.get(), bytes));
    return Repack(WindowOf(file.get()), again.get(), {.policy = ImportPolicy(), .workers = 1});
  };
  for (std::size_t length = 0; length + 4096 < whole.size(); length += 509)
    EXPECT_FALSE(try_bytes(whole.substr(0, length)));
  for (std::size_t at = 0; at < whole.size(); at += at < 256 ? 1 : 61) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0xff);
    (void)try_bytes(damaged);
  }
}

TEST_F(Squashfs, KernelMountsWhatWeWrite) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounting needs root";
  if (::access("/dev/loop-control", R_OK | W_OK) != 0) GTEST_SKIP() << "no loop devices here";
  FillTree();
  UniqueFd out = Output("image");
  auto summary = Pack(out.get());
  ASSERT_TRUE(summary);
  auto loop = AttachLoop(out.get(), 0, summary->bytes_out);
  if (!loop) GTEST_SKIP() << "no loop device: " << loop.error().message;
  auto path = LoopPath(loop->get());
  ASSERT_TRUE(path);
  auto mount = MountNew("squashfs", {{"source", *path}, {"ro", ""}},
                        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  ASSERT_TRUE(mount) << mount.error().message;
  auto read = [&](const std::string& name) {
    auto fd = OpenAt(mount->get(), name, O_RDONLY);
    return fd ? ReadAll(fd->get(), 1 << 24).value_or("unreadable") : "no such file";
  };
  EXPECT_EQ(read("etc/link"), "#!shell\n");
  EXPECT_TRUE(read("var/big") == big_);
  for (int i = 0; i < 700; ++i) ASSERT_EQ(read(Cat("etc/deep/small", i)), Cat("content ", i));
  struct stat info;
  ASSERT_EQ(::fstatat(mount->get(), "bin/sh", &info, 0), 0);
  EXPECT_EQ(info.st_nlink, 3U);
  EXPECT_EQ(info.st_mode & 07777U, 0755U);
  if (has_xattrs_) {
    auto fd = OpenAt(mount->get(), "bin/sh", O_RDONLY);
    ASSERT_TRUE(fd);
    char value[16];
    EXPECT_EQ(::fgetxattr(fd->get(), "user.note", value, sizeof value), 5);
  }
}

TEST_F(Squashfs, UnsquashfsAgrees) {
  FillTree();
  UniqueFd out = Output("image");
  ASSERT_TRUE(Pack(out.get()));
  auto ran = RunAndCapture({.argv = {"unsquashfs", "-lls", top_ + "/image"}});
  if (!ran) GTEST_SKIP() << "no unsquashfs";
  EXPECT_EQ(ran->status.exit_code(), 0) << ran->out;
  EXPECT_NE(ran->out.find("squashfs-root/etc/deep/small699"), std::string::npos);
}

}  // namespace
}  // namespace slipway::squashfs
