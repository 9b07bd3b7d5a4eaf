// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "imagestore/store/blob_store.h"
#include "imagestore/store/catalogue.h"

namespace slipway::store {
namespace {

class Store : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = MakeTempDirectory(::testing::TempDir(), "slipway-store-");
    ASSERT_TRUE(made);
    top_ = *made;
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(top_)); }
  std::string top_;
};
using Names = Store;

TEST_F(Store, BlobIsFoundByItsDigestAndNeverChanges) {
  auto store = BlobStore::Open(top_ + "/blobs");
  ASSERT_TRUE(store) << store.error().message;
  auto writer = store->NewBlob();
  ASSERT_TRUE(writer->Write("hello "));
  ASSERT_TRUE(writer->Write("world"));
  auto blob = writer->Finish(DigestOf("hello world"));
  ASSERT_TRUE(blob) << blob.error().message;
  EXPECT_EQ(blob->size, 11U);
  EXPECT_TRUE(store->Has(blob->digest));
  auto fd = store->OpenForReading(blob->digest);
  ASSERT_TRUE(fd);
  EXPECT_EQ(ReadAll(fd->get(), 100).value_or("?"), "hello world");
  struct stat info;
  ASSERT_EQ(::fstat(fd->get(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0444U);
  EXPECT_EQ(store->List()->size(), 1U);
  ASSERT_TRUE(store->Remove(blob->digest));
  EXPECT_EQ(store->Remove(blob->digest).error().code, Code::kNotFound);
  EXPECT_EQ(store->OpenForReading(blob->digest).error().code, Code::kNotFound);
}

TEST_F(Store, WrongBytesNeverGetTheName) {
  auto store = BlobStore::Open(top_);
  {
    auto writer = store->NewBlob();
    ASSERT_TRUE(writer->Write("wrong"));
    EXPECT_EQ(writer->Finish(DigestOf("right")).error().code, Code::kDataLoss);
  }
  EXPECT_TRUE(store->List()->empty());
  EXPECT_EQ(store->OpenForReading("sha256:../../etc/passwd").error().code, Code::kInvalidArgument);
  EXPECT_EQ(::rmdir(top_.c_str()), 0) << "something was left behind";
  ASSERT_EQ(::mkdir(top_.c_str(), 0700), 0);
}

TEST_F(Store, WhatAnotherProgramWroteIsHashedFromTheFile) {
  auto store = BlobStore::Open(top_);
  auto writer = store->NewBlob();
  ASSERT_EQ(::pwrite(writer->fd(), "imported", 8, 0), 8);
  auto blob = writer->Finish();
  ASSERT_TRUE(blob);
  EXPECT_EQ(blob->digest, DigestOf("imported"));
}

TEST_F(Store, OpenClearsWhatACrashLeft) {
  { std::ofstream(top_ + "/.incoming-1234") << "half"; }
  auto store = BlobStore::Open(top_);
  ASSERT_TRUE(store);
  EXPECT_NE(::access((top_ + "/.incoming-1234").c_str(), F_OK), 0);
}

TEST_F(Store, ChunksAreVerifiedOneByOne) {
  std::string path = top_ + "/file";
  std::string bytes(kChunkBytes + 10, 'a');
  { std::ofstream(path, std::ios::binary) << bytes; }
  auto fd = Open(path, O_RDONLY);
  auto manifest = MakeChunkManifest(fd->get());
  ASSERT_TRUE(manifest);
  ASSERT_EQ(manifest->digests.size(), 2U);
  EXPECT_TRUE(VerifyChunk(*manifest, 0, bytes.substr(0, kChunkBytes)));
  EXPECT_TRUE(VerifyChunk(*manifest, 1, bytes.substr(kChunkBytes)));
  EXPECT_EQ(VerifyChunk(*manifest, 1, "bbbbbbbbbb").error().code, Code::kDataLoss);
  EXPECT_EQ(VerifyChunk(*manifest, 1, "short").error().code, Code::kDataLoss);
  EXPECT_EQ(VerifyChunk(*manifest, 2, "").error().code, Code::kOutOfRange);
}

TEST_F(Names, AreParsedWithDefaultsAndChecked) {
  EXPECT_EQ(ParseImageName("debian")->Text(), "library/debian:latest");
  EXPECT_EQ(ParseImageName("base/debian:12")->Text(), "base/debian:12");
  EXPECT_EQ(ParseImageName("a/b:V1.0@" + DigestOf("x"))->digest, DigestOf("x"));
  for (const char* bad :
       {"", "/", "a/", "/b", "a/b/c", "A/b", "a/b:", "a b", "a/-b", "../x", "a@sha256:12", "a:b:c"}) {
    EXPECT_FALSE(ParseImageName(bad)) << bad;
  }
}

ImageRecord Record(const std::string& name, const std::string& content, std::uint32_t uid = 1000) {
  ImageRecord record;
  record.name = name;
  record.digest = DigestOf(content);
  record.source_digest = DigestOf(content + "-source");
  record.owner_uid = uid;
  record.created = 1'700'000'000'000;
  record.size = content.size();
  record.arch = "amd64";
  record.labels = {{"Author", "x"}};
  return record;
}

TEST_F(Names, RememberWhatTheyMeantBeforeThroughARestart) {
  std::string path = top_ + "/catalogue.db";
  {
    auto catalogue = Catalogue::Open(path);
    ASSERT_TRUE(catalogue) << catalogue.error().message;
    ASSERT_TRUE(catalogue->Add(Record("base/debian:12", "one")));
    ASSERT_TRUE(catalogue->Add(Record("base/debian:12", "two")));
  }
  auto catalogue = Catalogue::Open(path);
  auto record = catalogue->Resolve("base/debian:12");
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->digest, DigestOf("two"));
  EXPECT_EQ(record->previous, std::vector<std::string>{DigestOf("one")});
  EXPECT_EQ(record->labels.at("Author"), "x");
  EXPECT_EQ(record->arch, "amd64");
  EXPECT_EQ(catalogue->Resolve("base/debian:12@" + DigestOf("one"))->digest, DigestOf("one"));
  EXPECT_EQ(catalogue->Resolve("base/debian:12@" + DigestOf("three")).error().code, Code::kNotFound);
  EXPECT_TRUE(*catalogue->Mentions(DigestOf("one")));
  EXPECT_FALSE(*catalogue->Mentions(DigestOf("three")));
  EXPECT_EQ(catalogue->List()->size(), 1U);
}

TEST_F(Names, UnknownOnesGetTheNearest) {
  auto catalogue = Catalogue::Open(":memory:");
  ASSERT_TRUE(catalogue->Add(Record("base/debian:12", "one")));
  auto unknown = catalogue->Resolve("base/debain:12");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::kNotFound);
  EXPECT_EQ(unknown.error().message, "no image is called base/debain:12; did you mean base/debian:12?");
  EXPECT_NE(catalogue->Resolve("debian").error().message.find("base/debian:12"), std::string::npos);
  EXPECT_NE(catalogue->Resolve("zzz").error().message.find("slipway image ls"), std::string::npos);
}

TEST_F(Names, BelongToWhoMadeThem) {
  auto catalogue = Catalogue::Open(":memory:");
  ASSERT_TRUE(catalogue->Add(Record("a/b:1", "one", 1000)));
  EXPECT_EQ(catalogue->Add(Record("a/b:1", "two", 1001)).error().code, Code::kPermissionDenied);
  EXPECT_EQ(catalogue->Remove("a/b:1", 1001).error().code, Code::kPermissionDenied);
  EXPECT_TRUE(catalogue->Add(Record("a/b:1", "two", 0)));
  auto removed = catalogue->Remove("a/b:1", 1000);
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_EQ(removed->owner_uid, 1000U);
  EXPECT_EQ(catalogue->Resolve("a/b:1").error().code, Code::kNotFound);
}

TEST_F(Names, ADamagedCatalogueSaysSo) {
  {
    std::ofstream(top_ + "/db")
        << "this is no database, but it is long enough to be looked at by SQLite as one ........";
  }
  EXPECT_FALSE(Catalogue::Open(top_ + "/db"));
}

}  // namespace
}  // namespace slipway::store
