// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <barrier>
#include <csignal>
#include <fstream>
#include <functional>
#include <thread>

#include "base/os/mount.h"
#include "base/os/process.h"
#include "imagestore/content/content.h"
#include "imagestore/sif/edit.h"
#include "imagestore/sif/sif.h"
#include "imagestore/squashfs/pack.h"
#include "imagestore/squashfs/reader.h"
#include "imagestore/trust/pgp.h"
#include "imagestore/trust/trust.h"
#include "launcher/main/import_confine.h"

namespace slipway {
namespace {

class Import : public ::testing::Test {
 protected:
  struct Outcome {
    ExitStatus status;
    std::string out, err;
    UniqueFd image;
  };
  void SetUp() override {
    auto made = MakeTempDirectory(::testing::TempDir(), "slipway-import-");
    ASSERT_TRUE(made);
    top_ = *made;
    tree_ = top_ + "/tree";
    for (const char* dir : {"", "/bin", "/etc"}) ASSERT_EQ(::mkdir((tree_ + dir).c_str(), 0755), 0);
    std::ofstream(tree_ + "/bin/sh") << "#!shell\n";
    std::ofstream(tree_ + "/etc/large") << std::string(2'000'000, 'x');
    std::ofstream(tree_ + "/bin/su") << "su";
    ASSERT_EQ(::chmod((tree_ + "/bin/su").c_str(), 04755), 0);
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(top_)); }

  std::string MakeSif(const squashfs::PackOptions& given) {
    std::string path = top_ + "/image.sif";
    auto writer = sif::Writer::Create(path);
    EXPECT_TRUE(writer);
    EXPECT_TRUE(writer->AddObject(sif::DataType::kDeffile, "def", "recipe"));
    auto place = writer->BeginPartition();
    auto dir = Open(tree_, O_RDONLY | O_DIRECTORY);
    squashfs::PackOptions options = given;
    options.out_offset = place->offset;
    auto packed = squashfs::PackDirectory(dir->get(), place->fd, options);
    EXPECT_TRUE(packed) << packed.error().message;
    EXPECT_TRUE(writer->EndPartition("root", packed->bytes_out, sif::FsType::kSquashfs,
                                     sif::PartType::kPrimarySystem, "amd64"));
    EXPECT_TRUE(writer->Commit());
    return *ReadFile(path, 64 << 20);
  }
  Outcome Run(const std::string& bytes) {
    return Run(bytes, std::move(*Open(top_ + "/out", O_RDWR | O_CREAT | O_TRUNC, 0600)));
  }
  Outcome Run(const std::string& bytes, UniqueFd out) {
    Outcome outcome;
    std::string in_path = top_ + "/in", err_path = top_ + "/err";
    std::ofstream(in_path, std::ios::binary) << bytes;
    auto in = Open(in_path, O_RDONLY);
    outcome.image = std::move(out);
    auto err = Open(err_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    auto ran = RunAndCapture({.argv = {SLIPWAY_IMPORT, "--in-fd", "7", "--out-fd", "5"},
                              .fds = {{7, in->get()}, {5, outcome.image.get()}, {2, err->get()}}});
    EXPECT_TRUE(ran);
    outcome.status = ran->status;
    outcome.out = ran->out;
    outcome.err = *ReadFile(err_path);
    return outcome;
  }
  // Incompressible, the same each time.
  static std::string RandomText(std::size_t size) {
    std::string text(size, 0);
    std::uint32_t state = 1;
    for (char& c : text) c = static_cast<char>((state = state * 1664525U + 1013904223U) >> 24);
    return text;
  }
  void ExpectRefusal(const Outcome& outcome, const std::string& named) {
    EXPECT_EQ(outcome.status.exit_code(), 1) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_NE(outcome.err.find(named), std::string::npos) << outcome.err;
  }
  std::string top_, tree_;
};

TEST_F(Import, SifBecomesOurSquashfs) {
  squashfs::PackOptions keep;
  keep.policy.set_id = squashfs::Treatment::kKeep;
  Outcome outcome = Run(MakeSif(keep));
  ASSERT_EQ(outcome.status.exit_code(), 0) << outcome.err;
  EXPECT_TRUE(outcome.out.starts_with("entries=6 bytes_in=2000010 bytes_out="));
  EXPECT_NE(outcome.out.find(" dropped=1 dropped_list=\"set-id bit: bin/su\"\n"), std::string::npos)
      << outcome.out;
  struct stat info;
  ASSERT_EQ(::fstat(outcome.image.get(), &info), 0);
  auto reader = squashfs::Reader::Open({outcome.image.get(), 0, static_cast<std::uint64_t>(info.st_size)});
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ(reader->ReadFile("/bin/sh", 100).value_or("?"), "#!shell\n");
  EXPECT_EQ(reader->Find("/bin/su")->mode, 0755U);
}

TEST_F(Import, WhatIsInsideIsTold) {
  ASSERT_TRUE(MakeDirectories(tree_ + "/var/lib/dpkg"));
  std::ofstream(tree_ + "/var/lib/dpkg/status")
      << "Package: mpich\nStatus: install ok installed\nVersion: 4.0.2-3\nArchitecture: amd64\n";
  std::ofstream(tree_ + "/bin/libmpich.so.12") << std::string("\0MPICH Version:\0\0PMI_FD\0", 24);
  Outcome packed = Run(MakeSif({}));
  ASSERT_EQ(packed.status.exit_code(), 0) << packed.err;
  auto told = Open(top_ + "/content", O_RDWR | O_CREAT | O_TRUNC, 0600);
  auto ran = RunAndCapture({.argv = {SLIPWAY_IMPORT, "--look-fd", "7", "--out-fd", "6"},
                            .fds = {{7, packed.image.get()}, {6, told->get()}}});
  ASSERT_EQ(ran->status.exit_code(), 0) << ran->status.signal();
  auto content = content::DecodeContent(*ReadFile(top_ + "/content"));
  ASSERT_TRUE(content) << content.error().message;
  ASSERT_EQ(content->packages.size(), 1U);
  EXPECT_EQ(content->packages[0].version, "4.0.2-3");
  ASSERT_EQ(content->mpi.size(), 1U);
  EXPECT_TRUE(content->mpi[0].pmi1);
}

TEST_F(Import, GarbageAndTruncationAreRefusedInOneLine) {
  ExpectRefusal(Run("this is no image"), "neither a SIF nor a squashfs");
  ExpectRefusal(Run(""), "neither a SIF nor a squashfs");
  std::string image = MakeSif({});
  ExpectRefusal(Run(image.substr(0, image.size() - 4096)), "past the end of the file");
  ExpectRefusal(Run("hsqs" + std::string(200, '\xff')), "squashfs");
  std::string damaged = image;
  std::size_t at = damaged.find("hsqs") + 300;
  for (std::size_t i = 0; i < 400; ++i) damaged[at + i] ^= 0x5a;
  Outcome outcome = Run(damaged);
  EXPECT_EQ(outcome.status.exit_code(), 1) << outcome.out;
}

TEST_F(Import, DeviceNodesAreRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "device nodes need root";
  ASSERT_EQ(::mknod((tree_ + "/etc/null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  squashfs::PackOptions keep;
  keep.policy.devices = squashfs::Treatment::kKeep;
  ExpectRefusal(Run(MakeSif(keep)), "etc/null is or has a device node");
}

// What our own tools sign, verified behind the walls.
class ImportSigned : public Import {
 protected:
  void Sign(trust::Signer& signer) {
    auto editor = sif::Editor::Open(top_ + "/image.sif");
    ASSERT_TRUE(editor);
    ASSERT_TRUE(trust::Sign(*editor, signer));
  }
  Outcome VerifyIt(const std::string& keys) {
    Outcome outcome;
    std::string err_path = top_ + "/err";
    auto in = Open(top_ + "/image.sif", O_RDONLY);
    auto keys_fd = MakeSealedMemfd("keys", keys);
    auto err = Open(err_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    outcome.image = std::move(*Open(top_ + "/out", O_RDWR | O_CREAT | O_TRUNC, 0600));
    auto ran = RunAndCapture(
        {.argv = {SLIPWAY_IMPORT, "--verify-fd", "7", "--out-fd", "5", "--keys-fd", "6"},
         .fds = {{7, in->get()}, {5, outcome.image.get()}, {6, keys_fd->get()}, {2, err->get()}}});
    EXPECT_TRUE(ran);
    outcome.status = ran->status;
    outcome.err = *ReadFile(err_path);
    outcome.out = *ReadFile(top_ + "/out");
    return outcome;
  }
};

TEST_F(ImportSigned, TheSitesKeysThatSignedItAreNamedAndNoOthers) {
  MakeSif({});
  auto ring = trust::KeyRing::Open(top_ + "/keys");
  if (!ring) GTEST_SKIP() << ring.error().message;
  auto key = ring->Generate({.name = "Site", .email = "site@example.org", .ask_passphrase = false});
  auto other = ring->Generate({.name = "Other", .email = "other@example.org", .ask_passphrase = false});
  ASSERT_TRUE(key && other);
  std::string ours = *ring->Export(key->fingerprint, false),
              others = *ring->Export(other->fingerprint, false);
  Outcome unsigned_yet = VerifyIt(ours);
  ASSERT_EQ(unsigned_yet.status.exit_code(), 0) << unsigned_yet.err;
  EXPECT_EQ(unsigned_yet.out, "slipway-signers 1\n");
  Sign(*trust::PgpSigner(std::move(*ring), key->fingerprint));
  (void)RunAndCapture({.argv = {"gpgconf", "--homedir", top_ + "/keys", "--kill", "all"}});
  Outcome by_ours = VerifyIt(others + ours);
  ASSERT_EQ(by_ours.status.exit_code(), 0) << by_ours.err << " signal " << by_ours.status.signal();
  EXPECT_EQ(by_ours.out, Cat("slipway-signers 1\n", key->fingerprint, " Site <site@example.org>\n"));
  EXPECT_EQ(VerifyIt(others).out, "slipway-signers 1\n");
  // A byte of the partition that was signed.
  auto image = Open(top_ + "/image.sif", O_RDWR);
  std::size_t at = ReadFile(top_ + "/image.sif", 64 << 20)->find("hsqs") + 200;
  ASSERT_EQ(::pwrite(image->get(), "\xff\xff\xff\xff", 4, static_cast<off_t>(at)), 4);
  EXPECT_EQ(VerifyIt(ours).out, "slipway-signers 1\n");
}

TEST_F(ImportSigned, NoKeysAreAnErrorOfTheSite) {
  MakeSif({});
  ExpectRefusal(VerifyIt(""), "no key among the site's keys");
}

// The signal that ends a confined process which does `what`; 0: none does.
int EndOfConfined(const std::function<void()>& what) {
  auto child = Clone3({});
  EXPECT_TRUE(child);
  if (!*child) {
    if (!Confine()) ::_exit(99);
    what();
    ::_exit(0);
  }
  auto status = child->Wait();
  return status->signaled() ? status->signal() : status->exit_code();
}

TEST(Confinement, NoPathCanBeOpenedAndNothingStarted) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "not confined under a sanitizer";
#endif
  auto ends_with = EndOfConfined;
  EXPECT_EQ(ends_with([] { (void)::open("/", O_RDONLY); }), SIGSYS);
  EXPECT_EQ(ends_with([] { (void)::fork(); }), SIGSYS);
  EXPECT_EQ(ends_with([] { (void)::socket(AF_UNIX, SOCK_STREAM, 0); }), SIGSYS);
  EXPECT_EQ(ends_with([] { (void)::execl("/bin/true", "true", nullptr); }), SIGSYS);
  EXPECT_EQ(ends_with([] { (void)::kill(1, 0); }), SIGSYS);
  EXPECT_EQ(ends_with([] { (void)::lseek(0, 0, SEEK_CUR); }), 0);
}

// The C library's allocator gives threads heaps of their own, and beyond eight it opens a file of /sys to
// ask how many processors there are. Seen on a host with 16.
TEST(Confinement, AsManyThreadsAsAHostHasProcessorsMayTakeMemory) {
  EXPECT_EQ(EndOfConfined([] {
              constexpr int kThreads = 64;
              std::barrier all_there(kThreads);
              std::vector<std::thread> threads;
              for (int i = 0; i < kThreads; ++i) {
                threads.emplace_back([&] {
                  std::string mine(1000, 'x');
                  all_there.arrive_and_wait();  // no thread leaves its heap to the next
                });
              }
              for (std::thread& thread : threads) thread.join();
            }),
            0);
}

// The image is larger than the disk.
TEST_F(Import, FullDiskIsSaidInOneLine) {
  if (::geteuid() != 0) GTEST_SKIP() << "a small file system needs root";
  auto small = MountNew("tmpfs", {{"size", "64k"}}, 0);
  if (!small) GTEST_SKIP() << small.error().message;
  std::string noise = RandomText(1'000'000);
  { std::ofstream(tree_ + "/etc/noise", std::ios::binary) << noise; }
  auto in_bytes = MakeSif({});
  Outcome outcome = Run(in_bytes, std::move(*OpenAt(small->get(), "out", O_RDWR | O_CREAT, 0600)));
  ExpectRefusal(outcome, "No space left on device");
}

TEST_F(Import, WrongUseIsTwo) {
  auto ran = RunAndCapture({.argv = {SLIPWAY_IMPORT, "--in-fd", "3"}});
  ASSERT_TRUE(ran);
  EXPECT_EQ(ran->status.exit_code(), 2);
}

}  // namespace
}  // namespace slipway
