// SPDX-License-Identifier: Apache-2.0
#include "agent/images/partial_image.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace slipway {
namespace {

class PartialTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = *MakeTempDirectory("/tmp", "slipway-partial-");
    bytes_ = RandomBytes(5 * kChunk - 100);
    manifest_ = {bytes_.size(), kChunk, {}};
    for (std::size_t at = 0; at < bytes_.size(); at += kChunk)
      manifest_.digests.push_back(DigestOf(bytes_.substr(at, kChunk)));
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(dir_)); }
  std::string Chunk(std::uint32_t i) const { return bytes_.substr(i * kChunk, kChunk); }
  std::shared_ptr<PartialImage> Open() {
    auto image = PartialImage::Open(dir_ + "/x.part", manifest_);
    EXPECT_TRUE(image) << image.error().message;
    return image ? *image : nullptr;
  }

  static constexpr std::size_t kChunk = 64 << 10;
  std::string dir_, bytes_;
  store::ChunkManifest manifest_;
};

TEST_F(PartialTest, WhatHasComeIsFoundAgainAndNothingElse) {
  {
    auto image = Open();
    ASSERT_TRUE(image->Put(1, Chunk(1)));
    ASSERT_TRUE(image->Put(4, Chunk(4)));
    EXPECT_EQ(image->Bits(), std::string(1, 0b10010));
  }
  {
    // A killed machine may have lost what was not flushed.
    UniqueFd file = *slipway::Open(dir_ + "/x.part", O_WRONLY);
    ASSERT_EQ(::pwrite(file.get(), "damage", 6, kChunk + 5), 6);
  }
  auto image = Open();
  EXPECT_EQ(image->Bits(), std::string(1, 0b10000));
  for (std::uint32_t chunk : {0U, 1U, 2U, 3U}) ASSERT_TRUE(image->Put(chunk, Chunk(chunk)));
  EXPECT_TRUE(image->Whole());
  EXPECT_EQ(*DigestOfFile(image->file()->get()), DigestOf(bytes_));
}

TEST_F(PartialTest, BytesThatAreNotTheChunkAreRefusedAndNotWritten) {
  auto image = Open();
  EXPECT_EQ(image->Put(0, Chunk(1)).error().code, Code::kDataLoss);
  EXPECT_EQ(image->Put(0, Chunk(0).substr(1)).error().code, Code::kDataLoss);
  EXPECT_FALSE(image->Put(5, Chunk(0)));
  EXPECT_FALSE(image->Has(0, 1));
  EXPECT_EQ(Open()->Bits(), std::string(1, 0));
}

TEST_F(PartialTest, AFileOfAnotherSizeIsBegunAnew) {
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/x.part", bytes_ + "more"));
  EXPECT_EQ(Open()->Bits(), std::string(1, 0));
  struct stat info;
  ASSERT_EQ(::stat((dir_ + "/x.part").c_str(), &info), 0);
  EXPECT_EQ(static_cast<std::size_t>(info.st_size), bytes_.size());
}

TEST_F(PartialTest, OnceSealedNobodyCanWriteItAndReadersStay) {
  auto image = Open();
  ASSERT_TRUE(image->Put(0, Chunk(0)));
  image->Seal();
  EXPECT_TRUE(ProveUnwritable(image->file()->get()));
  EXPECT_LT(::write(image->file()->get(), "x", 1), 0);
  std::string read(kChunk, '\0');
  EXPECT_TRUE(ReadExactlyAt(image->file()->get(), std::as_writable_bytes(std::span(read)), 0));
  EXPECT_EQ(read, Chunk(0));
}

TEST_F(PartialTest, ALinkInItsPlaceIsNotFollowed) {
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/other", "mine"));
  ASSERT_EQ(::symlink((dir_ + "/other").c_str(), (dir_ + "/x.part").c_str()), 0);
  EXPECT_FALSE(PartialImage::Open(dir_ + "/x.part", manifest_));
  EXPECT_EQ(*ReadFile(dir_ + "/other"), "mine");
}

}  // namespace
}  // namespace slipway
