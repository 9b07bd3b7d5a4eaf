// SPDX-License-Identifier: Apache-2.0
// Threads that work ahead: the outcome is that of one thread, and none is left, wherever something fails.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "imagestore/squashfs/ahead.h"
#include "imagestore/squashfs/byte_source.h"
#include "imagestore/squashfs/tree_reader.h"

namespace slipway::squashfs {
namespace {

using testing::HasSubstr;

std::size_t Threads() { return NamesIn("/proc/self/task")->size(); }

// The kernel lists a thread for a moment longer than it can be waited for; one that lives on fails this.
testing::AssertionResult NoneIsLeftBut(std::size_t before) {
  auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (Threads() != before) {
    if (std::chrono::steady_clock::now() > patience)
      return testing::AssertionFailure() << Threads() << " threads, and there were " << before;
    std::this_thread::yield();
  }
  return testing::AssertionSuccess();
}

using Numbers = Ahead<int>;

TEST(AheadOfTheTaker, OrderIsKeptAndAnErrorComesBehindWhatWasMadeBeforeIt) {
  auto ahead = Numbers::Start(3, [](Numbers::Giver& giver) -> Result<> {
    for (int i = 0; i < 1000; ++i) {
      giver.batch() = i;
      TRY(giver.Give());
    }
    return Fail(Code::kDataLoss, "the disk");
  });
  ASSERT_TRUE(ahead);
  for (int i = 0; i < 1000; ++i) {
    auto taken = (*ahead)->Take();
    ASSERT_TRUE(taken && *taken != nullptr);
    ASSERT_EQ(**taken, i);
  }
  for (int again = 0; again < 2; ++again) EXPECT_EQ((*ahead)->Take().error().message, "the disk");
}

TEST(AheadOfTheTaker, TheEndIsAnsweredAsOftenAsSomebodyAsks) {
  auto ahead = Numbers::Start(2, [](Numbers::Giver&) { return Result<>(); });
  for (int again = 0; again < 2; ++again) EXPECT_EQ((*ahead)->Take().value(), nullptr);
}

TEST(AheadOfTheTaker, WhoStopsTakingAtAnyPointEndsTheWork) {
  std::size_t before = Threads();
  for (int taken = 0; taken < 10; ++taken) {
    bool told = false;
    {
      auto ahead = Numbers::Start(2, [&](Numbers::Giver& giver) -> Result<> {
        for (;;) {
          auto given = giver.Give();
          told = !given && given.error().code == Code::kCancelled;
          TRY(std::move(given));
        }
      });
      for (int i = 0; i < taken; ++i) ASSERT_TRUE((*ahead)->Take());
    }
    EXPECT_TRUE(told);
    EXPECT_TRUE(NoneIsLeftBut(before));
  }
}

// The Nth call fails, is interrupted, or meets a file that has become shorter.
class Stumbling : public TreeCalls {
 public:
  enum Way { kFails, kInterrupted, kShrinks, kDrips };
  Stumbling(Way way, int at) : way_(way), left_(at) {}
  bool stumbled() const { return left_ < 0; }

  Result<UniqueFd> OpenAt(int dir_fd, const std::string& name, int flags) override {
    if (way_ == kFails && left_-- == 0) return Fail(Code::kDataLoss, "the disk");
    return TreeCalls::OpenAt(dir_fd, name, flags);
  }
  int Stat(int fd, struct stat& info) override { return Fails() ? -1 : TreeCalls::Stat(fd, info); }
  ssize_t ListXattr(int fd, char* names, std::size_t size) override {
    return Fails() ? -1 : TreeCalls::ListXattr(fd, names, size);
  }
  ssize_t GetXattr(int fd, const char* name, char* value, std::size_t size) override {
    return Fails() ? -1 : TreeCalls::GetXattr(fd, name, value, size);
  }
  ssize_t Read(int fd, char* to, std::size_t size) override {
    if (Fails()) return -1;
    if (way_ == kShrinks && left_-- == 0) return 0;
    if (way_ == kInterrupted && left_-- == 0) {
      errno = EINTR;
      return -1;
    }
    return TreeCalls::Read(fd, to, way_ == kDrips ? std::min<std::size_t>(size, 4097) : size);
  }

 private:
  bool Fails() {
    if (way_ != kFails || left_-- != 0) return false;
    errno = EIO;
    return true;
  }
  Way way_;
  int left_;
};

class ReadAhead : public ::testing::Test {
 protected:
  void SetUp() override {
    top_ = MakeTempDirectory(::testing::TempDir(), "slipway-ahead-").value();
    for (const char* name : {"", "/d", "/d/deep", "/e"}) ASSERT_EQ(::mkdir((tree() + name).c_str(), 0755), 0);
    Write("a", std::string(700'000, 'a'));  // three batches
    Write("d/b", std::string(200'000, 'b'));
    Write("d/c", std::string(100'000, 'c'));  // does not fit behind b
    Write("d/deep/empty", "");
    for (int i = 0; i < 10; ++i) Write(Cat("e/", i), Cat("small ", i));
    // Without them the calls that read attributes are not tried.
    (void)::setxattr((tree() + "/d/b").c_str(), "user.note", "hello", 5, 0);
    (void)::setxattr((tree() + "/d").c_str(), "user.note", "dir", 3, 0);
    plain_ = *Packed();
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(top_)); }
  std::string tree() const { return top_ + "/tree"; }
  void Write(const std::string& name, const std::string& bytes) {
    std::ofstream(Cat(tree(), "/", name), std::ios::binary) << bytes;
  }
  Result<std::string> Packed(TreeCalls&& calls = TreeCalls(), PackOptions options = {}) {
    UniqueFd dir = TRY(Open(tree(), O_RDONLY | O_DIRECTORY));
    UniqueFd out(::memfd_create("out", MFD_CLOEXEC));
    options.epoch = 1'600'000'000;
    auto summary = TRY(PackDirectory(dir.get(), out.get(), options, calls));
    std::string bytes(summary.bytes_out, '\0');
    TRY(ReadExactlyAt(out.get(), std::as_writable_bytes(std::span(bytes)), 0));
    return bytes;
  }
  std::string top_, plain_;
};

TEST_F(ReadAhead, WhicheverCallFailsIsTheErrorAndNothingIsLeftRunning) {
  std::size_t before = Threads();
  int calls = 0;
  for (;; ++calls) {
    Stumbling disk(Stumbling::kFails, calls);
    auto packed = Packed(std::move(disk));
    EXPECT_TRUE(NoneIsLeftBut(before));
    if (packed) {
      EXPECT_FALSE(disk.stumbled());
      EXPECT_TRUE(*packed == plain_);
      break;
    }
    EXPECT_EQ(packed.error().code, Code::kDataLoss) << packed.error().message;
  }
  // 14 files and 3 directories opened, all but the directories looked at, all and the top asked for
  // attributes, 13 read.
  EXPECT_GE(calls, 17 + 14 + 18 + 13);
}

TEST_F(ReadAhead, InterruptionsAndShortReadsChangeNothing) {
  EXPECT_TRUE(Packed(Stumbling(Stumbling::kDrips, 0)).value_or("") == plain_);
  for (int at = 0;; ++at) {
    Stumbling calls(Stumbling::kInterrupted, at);
    EXPECT_TRUE(Packed(std::move(calls)).value_or("") == plain_);
    if (!calls.stumbled()) break;
  }
}

TEST_F(ReadAhead, AFileThatShrinksMeanwhileIsAsLongAsWhatWasRead) {
  for (int at = 0;; ++at) {
    Stumbling calls(Stumbling::kShrinks, at);
    auto packed = Packed(std::move(calls));
    ASSERT_TRUE(packed) << packed.error().message;
    if (!calls.stumbled()) break;
    EXPECT_FALSE(*packed == plain_);
  }
}

TEST_F(ReadAhead, CancellingAtAnyPointEndsIt) {
  std::size_t before = Threads();
  for (int at = 0;; ++at) {
    int left = at;
    PackOptions options;
    options.progress = [&](const Progress&) {
      return left-- == 0 ? Result<>(Fail(Code::kCancelled, "cancelled")) : Result<>();
    };
    auto packed = Packed(TreeCalls(), options);
    EXPECT_TRUE(NoneIsLeftBut(before));
    if (packed) break;
    EXPECT_EQ(packed.error().code, Code::kCancelled);
  }
}

TEST_F(ReadAhead, ALimitOnBytesCountsWhatIsReadAndNothingElse) {
  PackOptions options;
  options.limits.bytes_max = 700'000 + 200'000 + 100'000 + 10 * 7;
  EXPECT_TRUE(Packed(TreeCalls(), options));
  --options.limits.bytes_max;
  EXPECT_EQ(Packed(TreeCalls(), options).error().code, Code::kOutOfRange);
}

// The tree is looked at while its files are read: which of two errors is told must not hang on who was
// faster.
TEST_F(ReadAhead, WhatTheLookAtTheTreeRefusesIsTheErrorWhateverTheReadingMet) {
  std::size_t before = Threads();
  PackOptions options;
  options.limits.entries_max = 17;  // 14 files, 3 directories, and the top is one too many
  for (int calls = 0; calls < 80; ++calls) {
    auto packed = Packed(Stumbling(Stumbling::kFails, calls), options);
    ASSERT_FALSE(packed);
    EXPECT_EQ(packed.error().code, Code::kOutOfRange) << packed.error().message;
    EXPECT_TRUE(NoneIsLeftBut(before));
  }
  ++options.limits.entries_max;
  EXPECT_TRUE(Packed(TreeCalls(), options).value_or("") == plain_);
}

TEST_F(ReadAhead, TheTotalsAreKnownBeforeTheLastByteAndNeverChange) {
  PackOptions options;
  Progress last;
  options.progress = [&](const Progress& now) -> Result<> {
    EXPECT_TRUE(now.bytes_total == 0 || now.bytes_total == 1'000'070);
    last = now;
    return {};
  };
  ASSERT_TRUE(Packed(TreeCalls(), options));
  EXPECT_EQ(last.bytes, 1'000'070U);
  EXPECT_EQ(last.bytes_total, 1'000'070U);
  EXPECT_EQ(last.entries_total, 18U);
}

// More directories than one batch of the look has; and names of one file in several, the first in a directory
// that comes late.
TEST_F(ReadAhead, HardLinksOfAnyDirectoriesAreOneFile) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(::mkdir(Cat(tree(), "/e/", i, "d").c_str(), 0755), 0);
    ASSERT_EQ(::link((tree() + "/d/b").c_str(), Cat(tree(), "/e/", i, "d/b").c_str()), 0);
  }
  PackOptions options;
  Progress last;
  options.progress = [&](const Progress& now) -> Result<> {
    last = now;
    return {};
  };
  auto packed = Packed(TreeCalls(), options);
  ASSERT_TRUE(packed);
  EXPECT_EQ(last.bytes, 1'000'070U) << "the data of all names once";
  EXPECT_TRUE(*packed == Packed(TreeCalls(), options).value_or(""));
}

TEST_F(ReadAhead, ALinkThatIsSwappedInForAFileIsNotFollowed) {
  class Swapping : public TreeCalls {
   public:
    explicit Swapping(std::string file) : file_(std::move(file)) {}
    int Stat(int fd, struct stat& info) override {
      // The tree has been looked at: from now on the file is something else.
      ::unlink(file_.c_str());
      EXPECT_EQ(::symlink("/etc/passwd", file_.c_str()), 0);
      return TreeCalls::Stat(fd, info);
    }
    std::string file_;
  };
  auto packed = Packed(Swapping(tree() + "/e/9"));
  ASSERT_FALSE(packed);
  EXPECT_THAT(packed.error().message, HasSubstr("e/9"));
}

// Fails at its Nth Read.
class BadDisk : public ByteSource {
 public:
  explicit BadDisk(int good) : left_(good) {}
  Result<std::size_t> Read(std::span<char> buffer) override {
    if (left_-- == 0) return Fail(Code::kDataLoss, "the disk");
    std::fill(buffer.begin(), buffer.end(), 'x');
    return buffer.size();
  }

 private:
  int left_;
};

TEST(PiecesAheadOfTheTaker, AnErrorComesInItsPlaceAndStays) {
  std::size_t before = Threads();
  for (int good = 0; good < 20; ++good) {
    auto pieces = PiecesAhead(std::make_unique<BadDisk>(good));
    ASSERT_TRUE(pieces);
    for (int i = 0; i < good; ++i) ASSERT_EQ((*pieces)->Next()->front(), 'x');
    for (int again = 0; again < 2; ++again) EXPECT_EQ((*pieces)->Next().error().code, Code::kDataLoss);
  }
  EXPECT_TRUE(NoneIsLeftBut(before));
}

}  // namespace
}  // namespace slipway::squashfs
