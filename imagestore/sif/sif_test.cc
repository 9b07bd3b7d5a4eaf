// SPDX-License-Identifier: Apache-2.0
#include "imagestore/sif/sif.h"
#include "imagestore/sif/show.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "imagestore/sif/layout.h"

namespace slipway::sif {
namespace {

class Sif : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = MakeTempDirectory(::testing::TempDir(), "slipway-sif-");
    ASSERT_TRUE(made);
    top_ = *made;
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(top_)); }

  Result<> WriteSample(const std::string& path, std::optional<std::int64_t> epoch = 1'700'000'000) {
    Writer writer = TRY(Writer::Create(path, {.epoch = epoch}));
    TRY(writer.AddObject(DataType::kDeffile, "a.def", "Bootstrap: docker\n"));
    TRY(writer.AddObject(DataType::kGenericJson, "labels", "{}"));
    auto place = TRY(writer.BeginPartition());
    std::string partition = "hsqs" + std::string(4092, 'p');
    if (::pwrite(place.fd, partition.data(), partition.size(), static_cast<off_t>(place.offset)) < 0)
      return ErrnoFail("pwrite");
    TRY(writer.EndPartition("squashfs-1", partition.size(), FsType::kSquashfs, PartType::kPrimarySystem,
                            "amd64"));
    return writer.Commit();
  }
  Result<Image> ReadPath(const std::string& path) {
    UniqueFd fd = TRY(Open(path, O_RDONLY));
    return Read(fd.get());
  }
  Result<Image> ReadBytes(const std::string& bytes) {
    UniqueFd fd = TRY(MakeSealedMemfd("sif", bytes));
    return Read(fd.get());
  }
  // The sample with one number changed.
  template <class N>
  std::string Changed(std::size_t at, N value) {
    std::string path = top_ + "/sample.sif";
    EXPECT_TRUE(WriteSample(path));
    std::string bytes = *ReadFile(path);
    StoreLe<N>(bytes.data() + at, value);
    return bytes;
  }
  template <class N>
  void ExpectRefused(std::size_t at, N value, const std::string& named) {
    auto image = ReadBytes(Changed<N>(at, value));
    ASSERT_FALSE(image) << named;
    EXPECT_EQ(image.error().code, Code::kInvalidArgument);
    EXPECT_NE(image.error().message.find(named), std::string::npos) << image.error().message;
  }
  std::string top_;
};

constexpr std::size_t kSecond = kNewTableOffset + kDescriptorSize, kThird = kSecond + kDescriptorSize;

TEST_F(Sif, WhatIsWrittenIsRead) {
  std::string path = top_ + "/a.sif";
  ASSERT_TRUE(WriteSample(path));
  auto fd = Open(path, O_RDONLY);
  ASSERT_TRUE(fd);
  EXPECT_TRUE(LooksLikeSif(fd->get()));
  auto image = Read(fd->get());
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->header.arch, "amd64");
  EXPECT_EQ(image->header.created, 1'700'000'000);
  EXPECT_EQ(image->header.descriptors_free, 45U);
  EXPECT_EQ(image->header.data_offset, 0x7DB0U);
  ASSERT_EQ(image->descriptors.size(), 3U);
  EXPECT_EQ(ReadObject(fd->get(), image->descriptors[0]).value_or("?"), "Bootstrap: docker\n");
  EXPECT_EQ(ReadObject(fd->get(), image->descriptors[0], 3).error().code, Code::kOutOfRange);
  auto partition = PrimarySystemPartition(*image, fd->get());
  ASSERT_TRUE(partition) << partition.error().message;
  EXPECT_EQ(partition->offset % 4096, 0U);
  EXPECT_EQ(partition->size, 4096U);
  EXPECT_EQ(partition->group, 1U);
  EXPECT_NE(ListText(*image).find("FS (Squashfs/*System/amd64)"), std::string::npos);
}

TEST_F(Sif, EqualInputGivesEqualBytesWithAnEpoch) {
  ASSERT_TRUE(WriteSample(top_ + "/a.sif"));
  ASSERT_TRUE(WriteSample(top_ + "/b.sif"));
  ASSERT_TRUE(WriteSample(top_ + "/c.sif", std::nullopt));
  EXPECT_EQ(*ReadFile(top_ + "/a.sif"), *ReadFile(top_ + "/b.sif"));
  EXPECT_NE(*ReadFile(top_ + "/a.sif"), *ReadFile(top_ + "/c.sif"));
}

TEST_F(Sif, NothingIsLeftWithoutCommit) {
  {
    auto writer = Writer::Create(top_ + "/a.sif");
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->AddObject(DataType::kGeneric, "x", "bytes"));
  }
  EXPECT_EQ(::rmdir(top_.c_str()), 0) << "something was left behind";
  ASSERT_EQ(::mkdir(top_.c_str(), 0700), 0);
  EXPECT_FALSE(Writer::Create(top_ + "/missing/a.sif"));
}

TEST_F(Sif, EveryTruncationIsRefused) {
  ASSERT_TRUE(WriteSample(top_ + "/a.sif"));
  std::string whole = *ReadFile(top_ + "/a.sif");
  ASSERT_TRUE(ReadBytes(whole));
  for (std::size_t length = 0; length < whole.size(); length += length < 200 ? 1 : 23) {
    auto image = ReadBytes(whole.substr(0, length));
    ASSERT_FALSE(image) << length;
    ASSERT_EQ(image.error().code, Code::kInvalidArgument) << image.error().message;
  }
}

TEST_F(Sif, LyingFieldsAreNamed) {
  constexpr std::int64_t kHuge = INT64_MAX, kNegative = -1;
  ExpectRefused<std::int64_t>(kTotalAt, kHuge, "descriptors");
  ExpectRefused<std::int64_t>(kTotalAt, kNegative, "descriptors");
  ExpectRefused<std::int64_t>(kFreeAt, 49, "free");
  ExpectRefused<std::int64_t>(kTableSizeAt, 28079, "table size");
  ExpectRefused<std::int64_t>(kTableOffsetAt, kHuge, "descriptor table");
  ExpectRefused<std::int64_t>(kTableOffsetAt, 64, "table offset");
  ExpectRefused<std::int64_t>(kDataSizeAt, kHuge, "data");
  ExpectRefused<std::int64_t>(kDataOffsetAt, kNegative, "data");
  ExpectRefused<char>(kVersionAt, '9', "version");
  ExpectRefused<char>(kMagicAt, 'X', "magic");
  ExpectRefused<std::int64_t>(kSecond + kOffsetIn, kHuge, "object 2's bytes");
  ExpectRefused<std::int64_t>(kSecond + kSizeIn, kHuge, "object 2's bytes");
  ExpectRefused<std::int64_t>(kSecond + kSizeIn, kNegative, "object 2's bytes");
  ExpectRefused<std::int64_t>(kSecond + kOffsetIn, 0, "object 2's offset");
  ExpectRefused<std::int64_t>(kSecond + kOffsetIn, kNewTableOffset, "overlap the descriptor table");
  ExpectRefused<std::uint32_t>(kSecond + kIdIn, 1, "two objects");
  ExpectRefused<std::uint32_t>(kSecond + kIdIn, 0, "id 0");
  ExpectRefused<std::uint32_t>(kSecond + kGroupIn, 1, "group");
  ExpectRefused<char>(kSecond + kUsedIn, 7, "used mark");
  // A second primary system partition.
  std::string twice = Changed<std::int32_t>(kSecond, static_cast<std::int32_t>(DataType::kPartition));
  StoreLe<std::int32_t>(twice.data() + kSecond + kExtraIn + 4,
                        static_cast<std::int32_t>(PartType::kPrimarySystem));
  EXPECT_FALSE(ReadBytes(twice));
}

TEST_F(Sif, OnlyASquashfsPartitionIsGivenOut) {
  auto refused = [&](const std::string& bytes) {
    auto fd = MakeSealedMemfd("sif", bytes);
    auto image = Read(fd->get());
    EXPECT_TRUE(image);
    auto partition = PrimarySystemPartition(*image, fd->get());
    EXPECT_FALSE(partition);
    return partition ? std::string() : partition.error().message;
  };
  std::string bytes =
      Changed<std::int32_t>(kThird + kExtraIn + 4, static_cast<std::int32_t>(PartType::kData));
  EXPECT_NE(refused(bytes).find("no primary system partition"), std::string::npos);
  bytes = Changed<std::int32_t>(kThird + kExtraIn, static_cast<std::int32_t>(FsType::kEncryptedSquashfs));
  EXPECT_NE(refused(bytes).find("encrypted"), std::string::npos);
  bytes = Changed<std::int32_t>(kThird + kExtraIn, static_cast<std::int32_t>(FsType::kExt3));
  EXPECT_NE(refused(bytes).find("Ext3"), std::string::npos);
  auto offset = static_cast<std::size_t>(LoadLe<std::int64_t>(bytes.data() + kThird + kOffsetIn));
  EXPECT_NE(refused(Changed<char>(offset, 'X')).find("magic"), std::string::npos);
}

// Files that another implementation wrote, where a folder of them is at hand.
TEST_F(Sif, ForeignFilesAreRead) {
  const char* folder = std::getenv("SLIPWAY_TEST_SIF_DIR");
  if (folder == nullptr) GTEST_SKIP() << "SLIPWAY_TEST_SIF_DIR names no folder of SIF files";
  DIR* dir = ::opendir(folder);
  ASSERT_NE(dir, nullptr) << folder;
  int files = 0;
  while (dirent* entry = ::readdir(dir)) {
    std::string name = entry->d_name;
    if (!name.ends_with(".sif")) continue;
    ++files;
    auto image = ReadPath(Cat(folder, "/", name));
    EXPECT_TRUE(image) << name << ": " << image.error().message;
    if (image && ::getenv("SLIPWAY_TEST_VERBOSE") != nullptr)
      std::printf("%s\n%s", name.c_str(), ListText(*image).c_str());
  }
  ::closedir(dir);
  EXPECT_GT(files, 0);
}

}  // namespace
}  // namespace slipway::sif
