// SPDX-License-Identifier: Apache-2.0
// The connection belongs to whoever holds `database_mutex_`: the writer thread while it commits, who reads
// for a portion (at start-up, and to make a snapshot). The queue has a mutex of its own, so that the owner
// never waits for the disk to hand in a batch.
#include "scheduler/store/sqlite_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/os/fd.h"
#include "scheduler/store/snapshot_table.h"
#include "scheduler/store/sqlite.h"

namespace slipway::scheduler {
namespace {

constexpr std::int64_t kApplicationId = 0x534c4957;  // "SLIW"
constexpr std::int64_t kSchemaVersion = 2;           // 1: a snapshot was one row
constexpr std::string_view kSchema =
    "create table records(revision integer primary key, body blob not null);"
    "create table leader(id integer primary key check (id = 1), epoch integer not null);"
    "insert into leader values(1, 0);";

struct Operation {
  std::vector<std::string> records;
  std::optional<Snapshot> snapshot;
  Epoch expected = 0;
  Store::AppendCallback appended;
  Store::DoneCallback saved;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(SqliteStoreOptions options, Post post) : options_(std::move(options)), post_(std::move(post)) {}
  ~SqliteStore() override {
    {
      std::lock_guard lock(queue_mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    if (writer_.joinable()) writer_.join();
  }

  Result<> Start();
  void Append(std::vector<std::string> records, Epoch expected, AppendCallback done) override {
    Queue({std::move(records), std::nullopt, expected, std::move(done), nullptr});
  }
  void SaveSnapshot(Snapshot snapshot, Epoch expected, DoneCallback done) override {
    Queue({{}, std::move(snapshot), expected, nullptr, std::move(done)});
  }
  Result<std::vector<StoredRecord>> ReadAfter(Revision after, std::size_t records_max) override;
  Result<std::optional<Snapshot>> LoadSnapshot() override;
  Result<Epoch> CurrentEpoch() override {
    std::lock_guard lock(database_mutex_);
    return static_cast<Epoch>(TRY(database_.IntOf("select epoch from leader")));
  }
  Result<Epoch> BeginEpoch(Epoch expected) override;

 private:
  void Queue(Operation operation);
  void Write();
  std::deque<Operation> TakeBatches();
  Result<> Prepare();
  Result<> Commit(const std::deque<Operation>& batches, std::vector<Revision>& revisions);
  Result<> CommitOpen(const std::deque<Operation>& batches, std::vector<Revision>& revisions);
  Result<> WritePortion(Epoch epoch);
  bool Stopping();
  void TakeSnapshots(std::deque<Operation>& batches);
  void AnswerSaved(const std::optional<Error>& error);
  void Answer(std::deque<Operation> batches, const std::vector<Revision>& revisions,
              const std::optional<Error>& error);

  SqliteStoreOptions options_;
  Post post_;

  std::mutex database_mutex_;
  Database database_;
  Statement insert_;
  Revision last_ = 0;
  SnapshotTable snapshots_;
  bool snapshot_whole_ = false;    // with the transaction that is open
  std::deque<Operation> to_save_;  // the first of them is being written; the writer's

  std::mutex queue_mutex_;
  std::condition_variable wake_;
  std::deque<Operation> queue_;
  bool stopping_ = false;

  std::optional<Error> failed_;  // the writer's
  std::thread writer_;
};

Result<> SqliteStore::Start() {
  // SQLite makes files 0644; the log holds users' environments.
  UniqueFd file = TRY(Open(options_.path, O_RDWR | O_CREAT, 0600));
  file.reset();
  database_ = TRY(Database::Open(options_.path, options_.vfs));
  // Exclusive: one process has the file, and WAL needs no shared memory.
  TRY(database_.Run("pragma locking_mode=exclusive"));
  TRY(database_.Run("pragma journal_mode=wal"));
  TRY(database_.Run("pragma synchronous=full"));
  TRY(database_.Run(Cat("pragma wal_autocheckpoint=", options_.checkpoint_pages)));
  TRY(database_.Run("begin immediate"));  // takes the lock now rather than at the first commit
  TRY(Prepare());
  TRY(database_.Run("commit"));
  insert_ = TRY(database_.Prepare("insert into records values(?, ?)"));
  TRY(snapshots_.Open(database_, options_.keep_records));
  std::int64_t records = TRY(database_.IntOf("select coalesce(max(revision), 0) from records"));
  std::int64_t snapshot = TRY(database_.IntOf("select coalesce(max(revision), 0) from kept"));
  last_ = static_cast<Revision>(std::max(records, snapshot));
  writer_ = std::thread([this] { Write(); });
  return {};
}

// Makes the tables of a new file, and those of an earlier version anew.
Result<> SqliteStore::Prepare() {
  std::int64_t application = TRY(database_.IntOf("pragma application_id"));
  std::int64_t version = TRY(database_.IntOf("pragma user_version"));
  if (application == 0 && TRY(database_.IntOf("select count(*) from sqlite_master")) == 0) {
    TRY(database_.Run(std::string(kSchema)));
    TRY(database_.Run(SnapshotTable::Schema()));
  } else if (application != kApplicationId) {
    return Fail(Code::kDataLoss, options_.path, " is a database, but not a store of slipwayd");
  } else if (version == 1) {
    TRY(SnapshotTable::Upgrade(database_));
  } else if (version != kSchemaVersion) {
    return Fail(Code::kFailedPrecondition, options_.path, ": version ", version,
                " of the store is not known to this release");
  }
  return database_.Run(
      Cat("pragma application_id=", kApplicationId, "; pragma user_version=", kSchemaVersion));
}

void SqliteStore::Queue(Operation operation) {
  {
    std::lock_guard lock(queue_mutex_);
    queue_.push_back(std::move(operation));
  }
  wake_.notify_one();
}

std::deque<Operation> SqliteStore::TakeBatches() {
  std::unique_lock lock(queue_mutex_);
  if (failed_ || (snapshots_.idle() && to_save_.empty()))
    wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
  std::deque<Operation> taken;
  while (!queue_.empty() && taken.size() < options_.batches_per_commit_max) {
    taken.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return taken;
}

void SqliteStore::Write() {
  for (;;) {
    std::deque<Operation> batches = TakeBatches();
    if (batches.empty() && Stopping()) return;  // all is written but what is left of a snapshot
    TakeSnapshots(batches);
    std::vector<Revision> revisions;
    if (!failed_) {
      std::lock_guard lock(database_mutex_);
      Revision before = last_;
      Result<> committed = Commit(batches, revisions);
      if (!committed) {
        last_ = before;
        failed_ = std::move(committed.error()).Context(options_.path);
      }
    }
    if (!batches.empty()) Answer(std::move(batches), revisions, failed_);
    if (failed_ || std::exchange(snapshot_whole_, false)) AnswerSaved(failed_);
  }
}

bool SqliteStore::Stopping() {
  std::lock_guard lock(queue_mutex_);
  return stopping_;
}

// They are behind all batches that were taken with them, which are first in the next transaction.
void SqliteStore::TakeSnapshots(std::deque<Operation>& batches) {
  std::deque<Operation> others;
  for (Operation& operation : batches)
    (operation.snapshot ? to_save_ : others).push_back(std::move(operation));
  batches = std::move(others);
}

Result<> SqliteStore::Commit(const std::deque<Operation>& batches, std::vector<Revision>& revisions) {
  TRY(database_.Run("begin immediate"));
  Result<> done = CommitOpen(batches, revisions);
  if (!done) (void)database_.Run("rollback");  // fails where SQLite has rolled back by itself
  return done;
}

Result<> SqliteStore::CommitOpen(const std::deque<Operation>& batches, std::vector<Revision>& revisions) {
  auto epoch = static_cast<Epoch>(TRY(database_.IntOf("select epoch from leader")));
  for (const Operation& batch : batches) {
    if (batch.expected != epoch) {
      return Fail(Code::kFailedPrecondition, "epoch ", epoch, " has begun, we are ", batch.expected);
    }
    for (const std::string& record : batch.records) {
      TRY(insert_.Bind(1, static_cast<std::int64_t>(last_ + 1)).Bind(2, record).Run());
      ++last_;
    }
    revisions.push_back(last_);
  }
  TRY(WritePortion(epoch));
  return database_.Run("commit");
}

// Of the snapshot that is being written, or of what it replaced.
Result<> SqliteStore::WritePortion(Epoch epoch) {
  if (!to_save_.empty() && to_save_.front().expected != epoch)
    return Fail(Code::kFailedPrecondition, "epoch ", epoch, " has begun, we are ", to_save_.front().expected);
  if (!to_save_.empty() && !snapshots_.writing()) {
    CHECK(to_save_.front().snapshot->revision <= last_);
    snapshots_.Begin(std::move(*to_save_.front().snapshot));
  }
  if (!snapshots_.idle()) snapshot_whole_ = TRY(snapshots_.Work(database_));
  return {};
}

void SqliteStore::AnswerSaved(const std::optional<Error>& error) {
  std::size_t over = error ? to_save_.size() : 1;
  std::deque<Operation> saved;
  for (; over > 0; --over) {
    saved.push_back(std::move(to_save_.front()));
    to_save_.pop_front();
  }
  if (!saved.empty()) Answer(std::move(saved), {}, error);
}

void SqliteStore::Answer(std::deque<Operation> batches, const std::vector<Revision>& revisions,
                         const std::optional<Error>& error) {
  {
    std::lock_guard lock(queue_mutex_);
    if (stopping_) return;
  }
  // One post for the whole group: the owner wakes once.
  post_([batches = std::make_shared<std::deque<Operation>>(std::move(batches)), revisions, error] {
    for (std::size_t i = 0; i < batches->size(); ++i) {
      Operation& batch = (*batches)[i];
      if (batch.appended)
        batch.appended(error ? Result<Revision>(Failure(*error)) : Result<Revision>(revisions[i]));
      if (batch.saved) batch.saved(error ? Result<>(Failure(*error)) : Result<>());
    }
  });
}

Result<std::vector<StoredRecord>> SqliteStore::ReadAfter(Revision after, std::size_t records_max) {
  std::lock_guard lock(database_mutex_);
  Statement select = TRY(
      database_.Prepare("select revision, body from records where revision > ? order by revision limit ?"));
  select.Bind(1, static_cast<std::int64_t>(after))
      .Bind(2, static_cast<std::int64_t>(std::min<std::size_t>(records_max, INT64_MAX)));
  std::vector<StoredRecord> records;
  while (TRY(select.Step())) records.push_back({static_cast<Revision>(select.Int(0)), select.Blob(1)});
  return records;
}

Result<std::optional<Snapshot>> SqliteStore::LoadSnapshot() {
  std::optional<SnapshotTable::Kept> kept;
  {
    std::lock_guard lock(database_mutex_);
    kept = TRY(SnapshotTable::Find(database_));
  }
  if (!kept) return std::optional<Snapshot>();
  Snapshot snapshot{kept->revision, {}};
  for (std::int64_t i = 0; i < kept->pieces; ++i) {
    std::lock_guard lock(database_mutex_);
    snapshot.bytes += TRY(SnapshotTable::Piece(database_, kept->revision, i));
  }
  return std::optional(std::move(snapshot));
}

Result<Epoch> SqliteStore::BeginEpoch(Epoch expected) {
  std::lock_guard lock(database_mutex_);
  TRY(database_.Run("begin immediate"));
  auto swap = [&]() -> Result<Epoch> {
    auto epoch = static_cast<Epoch>(TRY(database_.IntOf("select epoch from leader")));
    if (epoch != expected)
      return Fail(Code::kAborted, options_.path, ": the epoch is ", epoch, ", not ", expected);
    TRY(database_.Run(Cat("update leader set epoch = ", expected + 1)));
    TRY(database_.Run("commit"));
    return expected + 1;
  };
  Result<Epoch> swapped = swap();
  if (!swapped) (void)database_.Run("rollback");
  return swapped;
}

}  // namespace

Result<std::unique_ptr<Store>> OpenSqliteStore(SqliteStoreOptions options, Store::Post post) {
  std::string path = options.path;
  auto store = std::make_unique<SqliteStore>(std::move(options), std::move(post));
  Result<> started = store->Start();
  if (!started) {
    bool busy = started.error().code == Code::kUnavailable;
    return Failure(
        std::move(started.error())
            .Context(busy ? Cat("store ", path, " (is another slipwayd running?)") : Cat("store ", path)));
  }
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace slipway::scheduler
