// SPDX-License-Identifier: Apache-2.0
#include "imagestore/sif/edit.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "base/crypto/crypto.h"
#include "imagestore/sif/layout.h"
#include "imagestore/sif/show.h"
#include "imagestore/sif/write_at.h"

namespace slipway::sif {
namespace {

class SifEdit : public ::testing::Test {
 protected:
  void SetUp() override {
    ::unsetenv("SOURCE_DATE_EPOCH");
    top_ = *MakeTempDirectory("/tmp", "sif-edit-");
    path_ = top_ + "/a.sif";
    auto writer = Writer::Create(path_);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->AddObject(DataType::kDeffile, "a.def", "Bootstrap: scratch\n"));
    ASSERT_TRUE(writer->Commit());
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(top_)); }

  Editor Edit() {
    auto editor = Editor::Open(path_);
    EXPECT_TRUE(editor) << editor.error().message;
    return std::move(*editor);
  }
  static NewObject Partition(PartType type, std::string_view arch, std::string_view name = "fs") {
    return {.type = DataType::kPartition,
            .name = std::string(name),
            .extra = PartitionExtra(FsType::kSquashfs, type, arch)};
  }
  Image Now() {
    auto fd = Open(path_, O_RDONLY);
    auto image = Read(fd->get());
    EXPECT_TRUE(image) << image.error().message;
    return *image;
  }
  std::string top_, path_;
};

TEST_F(SifEdit, EveryKindOfObjectIsKeptWithWhatIsSaidOfIt) {
  {
    Editor editor = Edit();
    EXPECT_EQ(editor.Add(Partition(PartType::kPrimarySystem, "arm64"), "hsqsAAAA").value_or(0), 2U);
    EXPECT_EQ(editor.Add(Partition(PartType::kOverlay, "arm64"), "overlay").value_or(0), 3U);
    EXPECT_TRUE(editor.Add({.type = DataType::kSbom, .extra = SbomExtra(SbomFormat::kSpdxJson)}, "{}"));
    EXPECT_TRUE(editor.Add({.type = DataType::kCryptoMessage,
                            .link = 2,
                            .extra = CryptoMessageExtra(CryptoFormat::kPem, CryptoMessage::kRsaOaep)},
                           "key"));
    EXPECT_TRUE(editor.Add({.type = DataType::kSignature,
                            .group = 0,
                            .link = 1,
                            .link_is_group = true,
                            .extra = SignatureExtra(HashType::kSha512, std::string(20, '\x4a'))},
                           "sig"));
    EXPECT_TRUE(editor.Add({.type = DataType::kOciBlob}, "blob"));
    EXPECT_TRUE(editor.Add({.type = DataType::kGeneric, .group = 7, .alignment = 512}, "raw"));
  }
  Image image = Now();
  EXPECT_EQ(image.header.arch, "arm64");
  EXPECT_EQ(image.header.descriptors_free, 40U);
  ASSERT_EQ(image.descriptors.size(), 8U);
  EXPECT_EQ(image.descriptors[1].offset % 4096, 0U);
  EXPECT_EQ(image.descriptors[2].part_type(), PartType::kOverlay);
  EXPECT_EQ(image.descriptors[5].fingerprint(), "4A4A4A4A4A4A4A4A4A4A4A4A4A4A4A4A4A4A4A4A");
  EXPECT_EQ(image.descriptors[6].oci_digest(), DigestOf("blob"));
  EXPECT_EQ(image.descriptors[7].offset % 512, 0U);
  std::string list = ListText(image);
  for (const char* text :
       {"FS (Squashfs/*System/arm64)", "FS (Squashfs/Overlay/arm64)", "SBOM (spdx-json)",
        "Cryptographic Message (PEM/RSA-OAEP)", "Signature (SHA-512)", "OCI.Blob", "1 (G)"})
    EXPECT_NE(list.find(text), std::string::npos) << text << "\n" << list;
}

TEST_F(SifEdit, DeletedObjectsAreGoneAndTheirBytesWhenAsked) {
  { ASSERT_TRUE(Edit().Add({.type = DataType::kGeneric, .name = "secret"}, "SECRET-ONE")); }
  { ASSERT_TRUE(Edit().Add({.type = DataType::kGeneric, .name = "last"}, "SECRET-TWO")); }
  struct stat before, after;
  ASSERT_EQ(::stat(path_.c_str(), &before), 0);
  { ASSERT_TRUE(Edit().Delete(2, OldBytes::kZero, false)); }
  EXPECT_EQ(ReadFile(path_)->find("SECRET-ONE"), std::string::npos);
  { ASSERT_TRUE(Edit().Delete(3, OldBytes::kLeave, true)); }
  ASSERT_EQ(::stat(path_.c_str(), &after), 0);
  EXPECT_LT(after.st_size, before.st_size);
  EXPECT_EQ(Now().descriptors.size(), 1U);
  EXPECT_EQ(Edit().Delete(3, OldBytes::kLeave, true).error().code, Code::kNotFound);
  // The freed place is used again.
  EXPECT_EQ(Edit().Add({.type = DataType::kGeneric}, "x").value_or(0), 2U);
}

TEST_F(SifEdit, OnlyASystemPartitionBecomesPrimary) {
  {
    Editor editor = Edit();
    ASSERT_TRUE(editor.Add(Partition(PartType::kPrimarySystem, "amd64"), "hsqs1"));
    ASSERT_TRUE(editor.Add(Partition(PartType::kSystem, "arm64"), "hsqs2"));
    ASSERT_TRUE(editor.Add(Partition(PartType::kData, "arm64"), "hsqs3"));
    EXPECT_EQ(editor.Add(Partition(PartType::kPrimarySystem, "arm64"), "hsqs4").error().code,
              Code::kAlreadyExists);
    EXPECT_FALSE(editor.SetPrimary(1));
    EXPECT_FALSE(editor.SetPrimary(4));
    ASSERT_TRUE(editor.SetPrimary(3));
  }
  Image image = Now();
  EXPECT_EQ(image.header.arch, "arm64");
  EXPECT_EQ(image.descriptors[1].part_type(), PartType::kSystem);
  EXPECT_EQ(image.descriptors[2].part_type(), PartType::kPrimarySystem);
  { ASSERT_TRUE(Edit().Delete(3, OldBytes::kLeave, false)); }
  EXPECT_EQ(Now().header.arch, "unknown");
}

TEST_F(SifEdit, TwoEditorsAtOnceAreRefused) {
  Editor first = Edit();
  auto second = Editor::Open(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kFailedPrecondition);
}

// A kill between the two writes of an editor leaves a descriptor that the header's number does not count yet.
TEST_F(SifEdit, AnInterruptedAddIsWholeAndTheNextEditorRepairsTheNumber) {
  std::string before = *ReadFile(path_);
  { ASSERT_TRUE(Edit().Add({.type = DataType::kGeneric}, "bytes")); }
  {
    auto fd = Open(path_, O_RDWR);
    ASSERT_TRUE(WriteAt(fd->get(), std::string_view(before).substr(0, kHeaderSize), 0));
  }
  EXPECT_EQ(Now().descriptors.size(), 2U);
  { ASSERT_EQ(Edit().Add({.type = DataType::kGeneric}, "more").value_or(0), 3U); }
  Image image = Now();
  EXPECT_EQ(image.descriptors.size(), 3U);
  EXPECT_EQ(image.descriptors[2].offset, image.descriptors[1].offset + 5);
  EXPECT_EQ(LoadLe<std::int64_t>(ReadFile(path_)->data() + kFreeAt), 45);
}

TEST_F(SifEdit, AFullTableIsSaid) {
  Editor editor = Edit();
  for (int i = 0; i < 47; ++i) ASSERT_TRUE(editor.Add({.type = DataType::kGeneric}, "x")) << i;
  EXPECT_EQ(editor.Add({.type = DataType::kGeneric}, "x").error().code, Code::kResourceExhausted);
}

TEST_F(SifEdit, WhatTheFormatHasNoRoomForIsRefused) {
  Editor editor = Edit();
  EXPECT_FALSE(editor.Add({.type = DataType::kGeneric, .name = std::string(129, 'n')}, "x"));
  EXPECT_FALSE(editor.Add({.type = DataType::kGeneric, .group = 0xF0000000}, "x"));
  EXPECT_FALSE(editor.Add({.type = DataType::kGeneric, .alignment = 3}, "x"));
  EXPECT_EQ(Now().descriptors.size(), 1U);
}

TEST_F(SifEdit, EditsWithAnEpochAreReproducible) {
  ::setenv("SOURCE_DATE_EPOCH", "1000", 1);
  auto make = [&](const std::string& path) {
    auto writer = Writer::Create(path, {.epoch = 1000});
    EXPECT_TRUE(writer->AddObject(DataType::kGeneric, "x", "y"));
    EXPECT_TRUE(writer->Commit());
    EXPECT_TRUE(Editor::Open(path)->Add({.type = DataType::kGeneric}, "added"));
    return *ReadFile(path);
  };
  EXPECT_EQ(make(top_ + "/1.sif"), make(top_ + "/2.sif"));
  ::unsetenv("SOURCE_DATE_EPOCH");
}

TEST(SifWords, NumbersAndNamesAreTaken) {
  EXPECT_EQ(FindWord(DataTypeWords(), "partition", 0x4000), 0x4004);
  EXPECT_EQ(FindWord(DataTypeWords(), "4", 0x4000), 0x4004);
  EXPECT_EQ(FindWord(DataTypeWords(), "12", 0x4000), std::nullopt);
  EXPECT_EQ(FindWord(ArchWords(), "amd64"), 2);
  EXPECT_EQ(FindWord(ArchWords(), "2"), 2);
  EXPECT_EQ(FindWord(SbomFormatWords(), "nonsense"), std::nullopt);
}

}  // namespace
}  // namespace slipway::sif
