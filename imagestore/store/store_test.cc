// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <optional>

#include "imagestore/store/blob_store.h"
#include "imagestore/store/catalogue.h"
#include "imagestore/store/collect.h"
#include "imagestore/store/verify.h"

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

TEST_F(Store, RemembersWhoseProjectsAreThroughARestart) {
  std::string path = top_ + "/catalogue.db";
  {
    auto catalogue = Catalogue::Open(path);
    ASSERT_TRUE(catalogue->SetProject({.name = "a", .owners = {{false, 1, "x"}}, .by_uid = 7, .created = 9}));
    ASSERT_TRUE(catalogue->SetProject({.name = "b", .owners = {{false, 1, "x"}}}));
    ASSERT_TRUE(catalogue->SetProject({.name = "a", .members = {{true, 2, "y"}}}));
    ASSERT_TRUE(catalogue->RemoveProject("b"));
    EXPECT_EQ(catalogue->RemoveProject("b").error().code, Code::kNotFound);
  }
  auto projects = Catalogue::Open(path)->Projects();
  ASSERT_EQ(projects->size(), 1U);
  EXPECT_EQ((*projects)[0].name, "a");
  EXPECT_TRUE((*projects)[0].owners.empty());
  EXPECT_EQ((*projects)[0].members, (std::vector<PolicySubject>{{true, 2, "y"}}));
  EXPECT_EQ((*projects)[0].by_uid, 7U) << "who gave it first";
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

TEST_F(Names, AreSeenByWhomTheyAreMeantFor) {
  auto catalogue = Catalogue::Open(":memory:");
  ASSERT_TRUE(catalogue->Add(Record("a/b:1", "one", 1000)));
  ASSERT_TRUE(catalogue->SetVisibility("a/b:1", 1000, Visibility::kGroup, 500));
  EXPECT_TRUE(catalogue->Resolve("a/b:1", {.uid = 1001, .groups = {500}}));
  auto hidden = catalogue->Resolve("a/b:1", {.uid = 1002, .groups = {501}});
  EXPECT_EQ(hidden.error().code, Code::kNotFound);
  EXPECT_EQ(hidden.error().message, "no image is called a/b:1; `slipway image ls` shows what there is")
      << "not even its name is told";
  EXPECT_EQ(catalogue->SetVisibility("a/b:1", 1001, Visibility::kPublic, 0).error().code,
            Code::kPermissionDenied);
  ASSERT_TRUE(catalogue->SetVisibility("a/b:1", 0, Visibility::kPrivate, 0));
  EXPECT_FALSE(catalogue->Resolve("a/b:1", {.uid = 1001, .groups = {500}}));
  EXPECT_TRUE(catalogue->Resolve("a/b:1", {.uid = 1000}));
  EXPECT_TRUE(catalogue->Resolve("a/b:1", {.uid = 9, .admin = true}));
  EXPECT_FALSE(catalogue->Resolve("a/b:1@" + DigestOf("one"), {.uid = 1001}));
}

TEST_F(Names, TellWhoMovedThemWhen) {
  auto catalogue = Catalogue::Open(":memory:");
  ImageRecord first = Record("a/b:1", "one"), second = Record("a/b:1", "two");
  first.by_uid = 1000;
  second.by_uid = 7;
  second.created += 5;
  ASSERT_TRUE(catalogue->Add(first));
  ASSERT_TRUE(catalogue->Add(second));
  auto history = catalogue->History("a/b:1");
  ASSERT_EQ(history->size(), 2U);
  EXPECT_EQ(history->at(0).digest, DigestOf("two"));
  EXPECT_EQ(history->at(0).by_uid, 7U);
  EXPECT_EQ(history->at(1).by_uid, 1000U);
  ASSERT_TRUE(catalogue->Add(second));
  EXPECT_EQ(catalogue->History("a/b:1")->size(), 2U) << "said twice";
  EXPECT_EQ(catalogue->NamesOf(DigestOf("one"))->at(0).name, "a/b:1") << "a name that had it counts";
}

TEST_F(Names, OfAnOlderReleaseAreTakenOver) {
  std::string path = top_ + "/db";
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(db,
                   Cat("CREATE TABLE names (name TEXT PRIMARY KEY, owner_uid INTEGER NOT NULL) WITHOUT ROWID;"
                       "CREATE TABLE digests (seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL "
                       "REFERENCES names(name),"
                       " digest TEXT NOT NULL, source_digest TEXT NOT NULL, created INTEGER NOT NULL, size "
                       "INTEGER NOT NULL,"
                       " arch TEXT NOT NULL, labels TEXT NOT NULL); PRAGMA user_version = 1;"
                       "INSERT INTO names VALUES ('a/b:1', 1000);"
                       "INSERT INTO digests VALUES (1, 'a/b:1', '",
                       DigestOf("one"), "', '', 1, 3, '', '{}')")
                       .c_str(),
                   nullptr, nullptr, nullptr),
      SQLITE_OK);
  sqlite3_close(db);
  for (int i = 0; i < 2; ++i) {
    auto catalogue = Catalogue::Open(path);
    ASSERT_TRUE(catalogue) << catalogue.error().message;
    EXPECT_EQ(catalogue->Resolve("a/b:1")->digest, DigestOf("one"));
    EXPECT_EQ(catalogue->Resolve("a/b:1")->visibility, Visibility::kPublic);
  }
}

ImageFacts Facts(const std::string& content, std::vector<std::uint32_t> holders = {1000}) {
  return {.digest = DigestOf(content),
          .source_digest = DigestOf(content + "-source"),
          .size = content.size(),
          .created = 1000,
          .content = content::Content{.arch = "amd64", .packages = {{"pip", "numpy", "1", ""}}},
          .signers = {{"KEY", "Alice"}},
          .holders = std::move(holders)};
}

TEST_F(Names, WhatIsKnownOfAnImageIsKept) {
  auto catalogue = Catalogue::Open(top_ + "/db");
  ASSERT_TRUE(catalogue->KeepImage(Facts("one")));
  ASSERT_TRUE(catalogue->NoteUse(DigestOf("one"), 1, 5000));
  ImageFacts again = Facts("one", {1001});
  again.content.reset();
  again.signers.clear();
  again.source_digest = DigestOf("another");
  ASSERT_TRUE(catalogue->KeepImage(again));
  auto facts = *catalogue->FindImage(DigestOf("one"));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->jobs, 1U);
  EXPECT_EQ(facts->last_used, 5000);
  EXPECT_EQ(facts->holders, (std::vector<std::uint32_t>{1000, 1001}));
  EXPECT_EQ(facts->content->packages[0].name, "numpy") << "what was known is not lost";
  EXPECT_EQ(facts->signers, (std::vector<Signer>{{"KEY", "Alice"}}));
  EXPECT_EQ(*catalogue->ImportOf(DigestOf("one-source")), DigestOf("one"));
  EXPECT_EQ(*catalogue->ImportOf(DigestOf("another")), DigestOf("one"));
  ASSERT_TRUE(catalogue->NoteDamage(DigestOf("one"), true));
  EXPECT_TRUE((*catalogue->FindImage(DigestOf("one")))->damaged);
  ASSERT_TRUE(catalogue->KeepImage(Facts("one")));
  EXPECT_FALSE((*catalogue->FindImage(DigestOf("one")))->damaged);
  ASSERT_TRUE(catalogue->ForgetImage(DigestOf("one")));
  EXPECT_FALSE(*catalogue->FindImage(DigestOf("one")));
  EXPECT_EQ(*catalogue->ImportOf(DigestOf("one-source")), "");
  EXPECT_TRUE(catalogue->Check());
}

TEST_F(Names, RulesSurviveARestart) {
  {
    auto catalogue = Catalogue::Open(top_ + "/db");
    ASSERT_TRUE(catalogue->AddRule({.allow = true,
                                    .pattern = "a/*",
                                    .subjects = {{true, 500, "phys"}},
                                    .keys = {"KEY"},
                                    .by_uid = 0,
                                    .created = 7}));
    ASSERT_TRUE(catalogue->AddRule({.allow = false, .pattern = "*"}));
    EXPECT_EQ(catalogue->RemoveRule(99).error().code, Code::kNotFound);
  }
  auto catalogue = Catalogue::Open(top_ + "/db");
  auto rules = *catalogue->Rules();
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_EQ(RuleText(rules[0]), "rule 1 (allow a/* to group phys, signed by KEY)");
  ASSERT_TRUE(catalogue->RemoveRule(1));
  EXPECT_EQ(catalogue->Rules()->size(), 1U);
}

TEST_F(Names, WhatPeopleTakeUpIsCountedOnce) {
  auto catalogue = Catalogue::Open(":memory:");
  for (const char* name : {"a/x:1", "a/y:1", "b/x:1"}) ASSERT_TRUE(catalogue->Add(Record(name, "one")));
  ASSERT_TRUE(catalogue->Add(Record("a/x:1", "four")));
  ASSERT_TRUE(catalogue->KeepImage(Facts("held!", {1001})));
  ASSERT_TRUE(catalogue->KeepImage(Facts("one", {1001})));  // named by 1000: not 1001's
  ASSERT_TRUE(catalogue->SetLimit("user:1002", 100));
  auto usage = *catalogue->Usage({{DigestOf("one"), 3}, {DigestOf("four"), 4}, {DigestOf("held!"), 5}});
  EXPECT_EQ(usage["user:1000"].bytes, 7U);
  EXPECT_EQ(usage["user:1000"].images, 2U);
  EXPECT_EQ(usage["user:1001"].bytes, 5U);
  EXPECT_EQ(usage["project:a"].bytes, 7U);
  EXPECT_EQ(usage["project:b"].bytes, 3U);
  EXPECT_EQ(usage["user:1002"].limit, 100U);
  ASSERT_TRUE(catalogue->SetLimit("user:1002", 0));
  EXPECT_FALSE(catalogue->Usage({})->contains("user:1002"));
}

class Garbagemen : public Store {
 protected:
  void SetUp() override {
    Store::SetUp();
    Reopen();
    for (const char* text : {"named", "before", "unnamed", "orphan"}) {
      auto writer = blobs_->NewBlob();
      ASSERT_TRUE(writer->Write(text));
      ASSERT_TRUE(writer->Finish());
      if (text != std::string("orphan")) {
        ASSERT_TRUE(catalogue_->KeepImage(Facts(text)));
      }
    }
    ASSERT_TRUE(catalogue_->Add(Record("a/b:1", "before")));
    ASSERT_TRUE(catalogue_->Add(Record("a/b:1", "named")));
  }
  void Reopen() {
    catalogue_.reset();
    catalogue_.emplace(std::move(*Catalogue::Open(top_ + "/db")));
    blobs_.emplace(std::move(*BlobStore::Open(top_ + "/blobs")));
  }
  std::vector<std::string> Found(GarbageRule rule, const std::string& used = "") {
    std::vector<std::string> texts;
    auto garbage = FindGarbage(*catalogue_, *blobs_->List(), rule,
                               [&](const std::string& digest) { return digest == used; });
    EXPECT_TRUE(garbage);
    for (const char* text : {"named", "before", "unnamed", "orphan"}) {
      for (const Garbage& one : *garbage)
        if (one.digest == DigestOf(text)) texts.push_back(text);
    }
    return texts;
  }
  // All is well but for what says otherwise.
  std::vector<std::string> Unwell() {
    std::vector<std::string> states;
    auto claims = ClaimsOf(*catalogue_, *blobs_);
    EXPECT_TRUE(claims);
    for (const Claim& claim : *claims) {
      Finding finding = Verify(claim, *blobs_);
      if (!finding.well()) states.push_back(FindingName(finding.state));
    }
    EXPECT_TRUE(catalogue_->Check());
    return states;
  }
  static constexpr std::int64_t kLater = 4'000'000'000'000;
  std::optional<Catalogue> catalogue_;
  std::optional<BlobStore> blobs_;
};

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(Garbagemen, TakeWhatNobodyNeedsAndNothingElse) {
  EXPECT_THAT(Found({.now = kLater}), ElementsAre("unnamed", "orphan"));
  EXPECT_THAT(Found({.now = kLater, .history = true}), ElementsAre("before", "unnamed", "orphan"));
  EXPECT_THAT(Found({.now = kLater}, DigestOf("unnamed")), ElementsAre("orphan"));
  EXPECT_THAT(Found({.now = kLater, .holder = 1000}), ElementsAre("unnamed"));
  EXPECT_THAT(Found({.now = kLater, .holder = 1001}), IsEmpty());
  EXPECT_THAT(Found({.now = 1500, .unused = 1000}), IsEmpty()) << "young";
  EXPECT_THAT(Found({.now = 2500, .unused = 1000}), ElementsAre("unnamed")) << "the orphan is of today";
  ASSERT_TRUE(catalogue_->NoteUse(DigestOf("unnamed"), 1, 2400));
  EXPECT_THAT(Found({.now = 2500, .unused = 1000}), IsEmpty()) << "used of late";
}

TEST_F(Garbagemen, LeaveAWholeStoreWhereverTheyAreKilled) {
  bool reached_the_end = false;
  for (int cut = 0; !reached_the_end; ++cut) {
    ASSERT_LT(cut, 20);
    catalogue_.reset();
    pid_t child = ::fork();
    if (child == 0) {
      Reopen();
      int steps = 0;
      for (const char* text : {"unnamed", "orphan"}) {
        auto gone = TakeAway(*catalogue_, *blobs_, DigestOf(text), [&](const char*) -> Result<> {
          if (steps++ == cut) ::kill(::getpid(), SIGKILL);
          return {};
        });
        if (!gone || (!gone->empty() && !blobs_->Discard(*gone))) ::_exit(1);
      }
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    reached_the_end = WIFEXITED(status);
    if (reached_the_end) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
    }
    Reopen();
    EXPECT_THAT(Unwell(), IsEmpty()) << "cut before step " << cut;
    EXPECT_TRUE(blobs_->Has(DigestOf("named")));
    // As it was, for the next cut.
    for (const char* text : {"unnamed", "orphan"}) {
      auto writer = blobs_->NewBlob();
      ASSERT_TRUE(writer->Write(text));
      ASSERT_TRUE(writer->Finish());
      if (text != std::string("orphan")) {
        ASSERT_TRUE(catalogue_->KeepImage(Facts(text)));
      }
    }
  }
}

TEST_F(Garbagemen, LeaveAWholeStoreWhereverAStepFails) {
  for (int cut = 0; cut < 3; ++cut) {
    int steps = 0;
    auto gone = TakeAway(*catalogue_, *blobs_, DigestOf("unnamed"), [&](const char* effect) -> Result<> {
      if (steps++ == cut) return Fail(Code::kUnavailable, effect);
      return {};
    });
    EXPECT_FALSE(gone);
    EXPECT_THAT(Unwell(), IsEmpty()) << cut;
    Reopen();
    EXPECT_THAT(Unwell(), IsEmpty()) << cut;
  }
  EXPECT_FALSE(blobs_->Has(DigestOf("unnamed")));
}

TEST_F(Garbagemen, EveryDamageIsFound) {
  EXPECT_THAT(Unwell(), IsEmpty());
  std::string path = Cat(top_, "/blobs/sha256-", DigestOf("named").substr(7));
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  { std::ofstream(path) << "nAmed"; }
  EXPECT_THAT(Unwell(), ElementsAre("damaged"));
  { std::ofstream(path) << "nam"; }
  EXPECT_THAT(Unwell(), ElementsAre("damaged"));
  ASSERT_TRUE(blobs_->Remove(DigestOf("named")));
  EXPECT_THAT(Unwell(), ElementsAre("missing"));
  ASSERT_TRUE(blobs_->Remove(DigestOf("unnamed")));
  EXPECT_THAT(Unwell(), ElementsAre("missing", "missing"));
  ASSERT_TRUE(catalogue_->ForgetImage(DigestOf("before")));
  ASSERT_TRUE(blobs_->Remove(DigestOf("before")));
  EXPECT_EQ(Unwell().size(), 2U) << "what a name meant once may be gone";
}

TEST_F(Garbagemen, RetiredBytesAreClearedAtTheNextStart) {
  auto retired = blobs_->Retire(DigestOf("unnamed"));
  ASSERT_TRUE(retired);
  EXPECT_FALSE(blobs_->Has(DigestOf("unnamed")));
  EXPECT_EQ(::access(Cat(top_, "/blobs/", *retired).c_str(), F_OK), 0);
  Reopen();
  EXPECT_NE(::access(Cat(top_, "/blobs/", *retired).c_str(), F_OK), 0);
  EXPECT_EQ(blobs_->Discard("../db").error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace slipway::store
