// SPDX-License-Identifier: Apache-2.0
// What the SQLite store promises: order, all or nothing, one leader, and that it stops at the first error.
#include "scheduler/store/sqlite_store.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "base/loop/epoll_loop.h"
#include "base/os/fd.h"

namespace slipway::scheduler {
namespace {

class SqliteStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = *MakeTempDirectory(testing::TempDir(), "store");
    path_ = folder_ + "/state.db";
    loop_ = *EpollLoop::Make();
  }
  void TearDown() override { (void)RemoveTree(folder_); }

  Result<std::unique_ptr<Store>> TryOpen(SqliteStoreOptions options = {}) {
    options.path = path_;
    return OpenSqliteStore(options, [this](std::function<void()> task) { loop_->Post(std::move(task)); });
  }
  std::unique_ptr<Store> OpenStore(SqliteStoreOptions options = {}) {
    Result<std::unique_ptr<Store>> store = TryOpen(options);
    if (!store) ADD_FAILURE() << store.error().message;
    return std::move(*store);
  }
  // Appends and runs the loop until the answer is there.
  Result<Revision> Append(Store& store, std::vector<std::string> records, Epoch epoch = 1) {
    Result<Revision> answer = Fail(Code::kUnknown, "no answer");
    store.Append(std::move(records), epoch, [&](Result<Revision> result) {
      answer = result;
      loop_->Stop();
    });
    loop_->Run();
    return answer;
  }
  Result<> Save(Store& store, Snapshot snapshot) {
    Result<> answer;
    store.SaveSnapshot(std::move(snapshot), 1, [&](Result<> result) {
      answer = result;
      loop_->Stop();
    });
    loop_->Run();
    return answer;
  }

  std::string folder_, path_;
  std::unique_ptr<EpollLoop> loop_;
};

TEST_F(SqliteStoreTest, KeepsRecordsInOrderOverAReopen) {
  auto store = OpenStore();
  EXPECT_EQ(*store->BeginEpoch(0), 1U);
  EXPECT_EQ(*Append(*store, {"a", "b"}), 2U);
  EXPECT_EQ(*Append(*store, {std::string(100'000, '\0')}), 3U);
  store.reset();
  store = OpenStore();
  std::vector<StoredRecord> records = *store->ReadAfter(0, 100);
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[1].revision, 2U);
  EXPECT_EQ(records[1].bytes, "b");
  EXPECT_EQ(records[2].bytes.size(), 100'000U);
  EXPECT_EQ(store->ReadAfter(1, 1)->size(), 1U);
  EXPECT_EQ(*store->CurrentEpoch(), 1U);
  EXPECT_EQ(*Append(*store, {"d"}), 4U);
}

TEST_F(SqliteStoreTest, AnswersEveryBatchInOrderOnTheOwnersThread) {
  auto store = OpenStore();
  (void)store->BeginEpoch(0);
  std::vector<Revision> answers;
  auto owner = std::this_thread::get_id();
  for (int i = 0; i < 500; ++i) {
    store->Append({"x", "y"}, 1, [&](Result<Revision> result) {
      EXPECT_TRUE(std::this_thread::get_id() == owner);
      answers.push_back(*result);
      if (answers.size() == 500) loop_->Stop();
    });
  }
  loop_->Run();
  for (std::size_t i = 0; i < answers.size(); ++i) ASSERT_EQ(answers[i], 2 * (i + 1));
}

TEST_F(SqliteStoreTest, OnlyTheLeaderOfTheEpochMayAppend) {
  auto store = OpenStore();
  EXPECT_EQ(*store->BeginEpoch(0), 1U);
  EXPECT_EQ(store->BeginEpoch(0).error().code, Code::kAborted);
  EXPECT_EQ(*store->BeginEpoch(1), 2U);
  EXPECT_EQ(Append(*store, {"late"}, 1).error().code, Code::kFailedPrecondition);
  EXPECT_EQ(Append(*store, {"even mine"}, 2).error().code, Code::kFailedPrecondition) << "fail-stop";
  store.reset();
  store = OpenStore();
  EXPECT_TRUE(store->ReadAfter(0, 9)->empty());
  EXPECT_EQ(*Append(*store, {"mine"}, 2), 1U);
}

TEST_F(SqliteStoreTest, ASnapshotReplacesTheRecordsItCovers) {
  auto store = OpenStore();
  (void)store->BeginEpoch(0);
  EXPECT_FALSE(store->LoadSnapshot()->has_value());
  (void)Append(*store, {"a", "b", "c"});
  EXPECT_TRUE(Save(*store, {2, "state at 2"}).has_value());
  EXPECT_TRUE(Save(*store, {3, "state at 3"}).has_value());
  store.reset();
  store = OpenStore();
  EXPECT_EQ((*store->LoadSnapshot())->bytes, "state at 3");
  EXPECT_TRUE(store->ReadAfter(3, 9)->empty());
  EXPECT_EQ(*Append(*store, {"d"}), 4U) << "revisions go on although no record is left";
}

TEST_F(SqliteStoreTest, OneProcessHasTheFile) {
  auto store = OpenStore();
  Result<std::unique_ptr<Store>> second = TryOpen();
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, Code::kUnavailable) << second.error().message;
}

TEST_F(SqliteStoreTest, RefusesAFileThatIsNoStore) {
  std::ofstream(path_) << std::string(10'000, 'x');
  EXPECT_EQ(TryOpen().error().code, Code::kDataLoss);
}

TEST_F(SqliteStoreTest, ItsFileIsPrivate) {
  auto store = OpenStore();
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

// A file size limit of this process stands in for a full disk: the write fails in the same place.
TEST_F(SqliteStoreTest, AFullDiskIsAnErrorAndLosesNothingThatWasAnswered) {
  auto store = OpenStore();
  (void)store->BeginEpoch(0);
  ASSERT_EQ(*Append(*store, {"kept"}), 1U);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit low{256 << 10, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &low);
  Result<Revision> full = Append(*store, {std::string(4 << 20, 'x')});
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(full.has_value());
  EXPECT_FALSE(Append(*store, {"after"}).has_value()) << "failed until it is opened again";
  store.reset();
  store = OpenStore();
  ASSERT_EQ(store->ReadAfter(0, 9)->size(), 1U);
  EXPECT_EQ(*Append(*store, {"goes on"}), 2U);
}

}  // namespace
}  // namespace slipway::scheduler
