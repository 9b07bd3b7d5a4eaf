// SPDX-License-Identifier: Apache-2.0
// What a snapshot may cost and may not lose. The file system under SQLite is a parameter: it counts what is
// written between two flushes, and can end the process's writing at its Nth call, for every N.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/os/fd.h"
#include "scheduler/store/snapshot_table.h"
#include "scheduler/store/sqlite.h"
#include "scheduler/store/sqlite_store.h"

namespace slipway::scheduler {
namespace {

constexpr char kVfsName[] = "slipway-counted";

// What the writer's thread does to the disk, and the test sets while that has nothing to do. One store at a
// time has it.
struct Disk {
  std::atomic<std::uint64_t> calls_left = UINT64_MAX;  // writes, flushes and truncations that still succeed
  std::atomic<std::uint64_t> calls = 0;
  std::atomic<std::uint64_t> bytes_since_flush = 0, most_between_flushes = 0;

  void Reset() {
    calls_left = UINT64_MAX;
    calls = bytes_since_flush = most_between_flushes = 0;
  }
  bool Dead() {
    ++calls;
    if (calls_left == 0) return true;
    --calls_left;
    return false;
  }
} disk;
std::atomic<std::uint64_t> flushes = 0;  // by any thread

struct CountedFile {
  sqlite3_file base;
  sqlite3_file* real;  // behind this struct
};
sqlite3_file* Real(sqlite3_file* file) { return reinterpret_cast<CountedFile*>(file)->real; }

int Write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 at) {
  if (disk.Dead()) return SQLITE_IOERR_WRITE;
  disk.bytes_since_flush += static_cast<std::uint64_t>(size);
  return Real(file)->pMethods->xWrite(Real(file), bytes, size, at);
}
int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  return disk.Dead() ? SQLITE_IOERR_TRUNCATE : Real(file)->pMethods->xTruncate(Real(file), size);
}
// A killed process loses nothing that it has written, so nothing is really flushed: the test takes seconds
// less.
int Sync(sqlite3_file*, int) {
  if (disk.Dead()) return SQLITE_IOERR_FSYNC;
  disk.most_between_flushes = std::max(disk.most_between_flushes.load(), disk.bytes_since_flush.load());
  disk.bytes_since_flush = 0;
  ++flushes;
  return SQLITE_OK;
}

const sqlite3_io_methods kMethods = {
    .iVersion = 1,
    .xClose = [](sqlite3_file* f) { return Real(f)->pMethods->xClose(Real(f)); },
    .xRead = [](sqlite3_file* f, void* to, int size,
                sqlite3_int64 at) { return Real(f)->pMethods->xRead(Real(f), to, size, at); },
    .xWrite = Write,
    .xTruncate = Truncate,
    .xSync = Sync,
    .xFileSize = [](sqlite3_file* f,
                    sqlite3_int64* size) { return Real(f)->pMethods->xFileSize(Real(f), size); },
    .xLock = [](sqlite3_file* f, int lock) { return Real(f)->pMethods->xLock(Real(f), lock); },
    .xUnlock = [](sqlite3_file* f, int lock) { return Real(f)->pMethods->xUnlock(Real(f), lock); },
    .xCheckReservedLock = [](sqlite3_file* f,
                             int* held) { return Real(f)->pMethods->xCheckReservedLock(Real(f), held); },
    .xFileControl = [](sqlite3_file* f, int what,
                       void* with) { return Real(f)->pMethods->xFileControl(Real(f), what, with); },
    .xSectorSize = [](sqlite3_file* f) { return Real(f)->pMethods->xSectorSize(Real(f)); },
    .xDeviceCharacteristics =
        [](sqlite3_file* f) { return Real(f)->pMethods->xDeviceCharacteristics(Real(f)); },
    .xShmMap = nullptr,
    .xShmLock = nullptr,
    .xShmBarrier = nullptr,
    .xShmUnmap = nullptr,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int OpenCounted(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* given) {
  auto* counted = reinterpret_cast<CountedFile*>(file);
  auto* real = static_cast<sqlite3_vfs*>(vfs->pAppData);
  counted->real = reinterpret_cast<sqlite3_file*>(counted + 1);
  counted->base.pMethods = nullptr;
  int code = real->xOpen(real, name, counted->real, flags, given);
  if (code == SQLITE_OK) counted->base.pMethods = &kMethods;
  return code;
}

class SnapshotCrash : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    static sqlite3_vfs vfs = *sqlite3_vfs_find(nullptr);
    vfs.pAppData = sqlite3_vfs_find(nullptr);
    vfs.szOsFile += static_cast<int>(sizeof(CountedFile));
    vfs.zName = kVfsName;
    vfs.xOpen = OpenCounted;
    ASSERT_EQ(sqlite3_vfs_register(&vfs, 0), SQLITE_OK);
  }
  void SetUp() override {
    folder_ = *MakeTempDirectory(testing::TempDir(), "snapshot");
    path_ = folder_ + "/state.db";
    disk.Reset();
  }
  void TearDown() override { (void)RemoveTree(folder_); }

  std::unique_ptr<Store> OpenStore() {
    tasks_.clear();
    auto store = OpenSqliteStore({.path = path_, .checkpoint_pages = 200, .vfs = kVfsName},
                                 [this](std::function<void()> task) {
                                   std::lock_guard lock(mutex_);
                                   tasks_.push_back(std::move(task));
                                   posted_at_ = flushes;
                                   here_.notify_one();
                                 });
    if (!store) ADD_FAILURE() << store.error().message;
    return std::move(*store);
  }
  // Runs what the store posts until `done`.
  void Until(const bool& done) {
    while (!done) {
      std::unique_lock lock(mutex_);
      here_.wait(lock, [this] { return !tasks_.empty(); });
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }
  bool Append(Store& store, std::string record) {
    bool done = false, good = false;
    store.Append({std::move(record)}, 1,
                 [&](Result<Revision> result) { done = true, good = result.has_value(); });
    const std::uint64_t asked_at = flushes;
    Until(done);
    std::lock_guard lock(mutex_);
    waited_flushes_ = std::max(waited_flushes_, posted_at_ - std::min(posted_at_, asked_at));
    return good;
  }
  void Remake() {
    (void)RemoveTree(folder_);
    SetUp();
  }

  std::string folder_, path_;
  std::mutex mutex_;
  std::condition_variable here_;
  std::deque<std::function<void()>> tasks_;  // guarded by mutex_
  std::uint64_t posted_at_ = 0;              // by flushes, the last of them; likewise
  std::uint64_t waited_flushes_ = 0;         // the longest that a record waited, by flushes
};

std::string Body(char fill) { return std::string(3 * kSnapshotPieceBytes + 17, fill); }

// Three records, a snapshot of them, more records beside the next snapshot: killed at every call to the disk.
TEST_F(SnapshotCrash, KilledAtEachWriteOfASnapshotTheOldOneOrTheNewOneCountsAndNoAnsweredRecordIsLost) {
  std::uint64_t n = 0;
  bool whole = false;
  for (; !whole; ++n) {
    ASSERT_LT(n, 2000U);
    Remake();
    Revision answered = 3;
    bool saved = false;
    {
      auto store = OpenStore();
      ASSERT_TRUE(store->BeginEpoch(0).has_value());
      for (int i = 1; i <= 3; ++i) ASSERT_TRUE(Append(*store, Cat("r", i)));
      bool done = false;
      store->SaveSnapshot({2, Body('a')}, 1, [&](Result<> result) { done = result.has_value(); });
      Until(done);
      disk.calls = 0;
      disk.calls_left = n;
      bool over = false;
      store->SaveSnapshot({3, Body('b')}, 1,
                          [&](Result<> result) { over = true, saved = result.has_value(); });
      while (!over && Append(*store, Cat("r", answered + 1))) ++answered;
      Until(over);
    }  // the destructor flushes what it can; with a dead disk, nothing
    whole = disk.calls_left > 0;
    disk.Reset();
    auto store = OpenStore();
    auto kept = store->LoadSnapshot();
    ASSERT_TRUE(kept.has_value() && kept->has_value()) << "at call " << n;
    Revision at = (*kept)->revision;
    ASSERT_TRUE(at == 3 || (at == 2 && !saved)) << "at call " << n << ": " << at;
    ASSERT_TRUE((*kept)->bytes == Body(at == 3 ? 'b' : 'a')) << "at call " << n;
    auto records = store->ReadAfter(at, 10'000);
    ASSERT_TRUE(records.has_value());
    for (std::size_t i = 0; i < records->size(); ++i) {
      ASSERT_EQ((*records)[i].revision, at + i + 1);
      ASSERT_EQ((*records)[i].bytes, Cat("r", at + i + 1)) << "at call " << n;
    }
    ASSERT_GE(at + records->size(), answered) << "at call " << n;
    // And a new one can be made over what was left behind.
    ASSERT_TRUE(Append(*store, "goes on")) << "at call " << n;
    bool again = false;
    store->SaveSnapshot({at + records->size() + 1, Body('c')}, 1,
                        [&](Result<> result) { again = result.has_value(); });
    Until(again);
    ASSERT_TRUE((*store->LoadSnapshot())->bytes == Body('c')) << "at call " << n;
  }
  EXPECT_GT(n, 30U) << "the scenario has become too short to mean anything";
}

// The promise of 50 ms without a clock: between two flushes the disk is given a piece, the batches, and at
// most a checkpoint; and a batch waits for one transaction, whatever the size of the snapshot.
TEST_F(SnapshotCrash, ACommitWaitsForAPortionOfASnapshotAndNeverForAllOfIt) {
  auto store = OpenStore();
  ASSERT_TRUE(store->BeginEpoch(0).has_value());
  for (int i = 0; i < 5000; ++i) store->Append({std::string(1000, 'x')}, 1, nullptr);
  ASSERT_TRUE(Append(*store, "r"));
  disk.most_between_flushes = 0;
  constexpr std::size_t kPieces = 80;
  bool saved = false;
  store->SaveSnapshot({5001, std::string(kPieces * kSnapshotPieceBytes, 's')}, 1,
                      [&](Result<> result) { saved = result.has_value(); });
  waited_flushes_ = 0;
  while (!saved) ASSERT_TRUE(Append(*store, "beside"));
  EXPECT_LE(waited_flushes_, kPieces / 4) << "each piece is flushed: a commit came behind many of them";
  EXPECT_LE(disk.most_between_flushes, std::uint64_t{2} << 20);
}

TEST_F(SnapshotCrash, AStoreOfTheVersionBeforeIsRead) {
  {
    auto old = Database::Open(path_);
    ASSERT_TRUE(old.has_value());
    ASSERT_TRUE(
        old->Run("create table records(revision integer primary key, body blob not null);"
                 "create table snapshot(id integer primary key check (id = 1), revision integer not "
                 "null, body blob not null);"
                 "create table leader(id integer primary key check (id = 1), epoch integer not null);"
                 "insert into leader values(1, 1); insert into snapshot values(1, 7, zeroblob(600000));"
                 "insert into records values(8, 'eight');"
                 "pragma application_id=1397508439; pragma user_version=1")
            .has_value());
  }
  for (int opened = 0; opened < 2; ++opened) {
    auto store = OpenStore();
    auto kept = store->LoadSnapshot();
    ASSERT_TRUE(kept.has_value() && kept->has_value());
    EXPECT_EQ((*kept)->revision, 7U);
    EXPECT_TRUE((*kept)->bytes == std::string(600'000, '\0'));
    ASSERT_EQ(store->ReadAfter(7, 9)->size(), 1U);
  }
}

}  // namespace
}  // namespace slipway::scheduler
