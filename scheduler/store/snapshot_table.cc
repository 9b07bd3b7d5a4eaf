// SPDX-License-Identifier: Apache-2.0
#include "scheduler/store/snapshot_table.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace slipway::scheduler {
namespace {

std::string_view PieceOf(std::string_view bytes, std::int64_t number) {
  return bytes.substr(std::min(bytes.size(), static_cast<std::size_t>(number) * kSnapshotPieceBytes),
                      kSnapshotPieceBytes);
}

std::int64_t PiecesOf(std::size_t bytes) {
  return static_cast<std::int64_t>((bytes + kSnapshotPieceBytes - 1) / kSnapshotPieceBytes);
}

Result<> InsertPiece(Database& database, Revision revision, std::int64_t number, std::string_view body) {
  Statement insert = TRY(database.Prepare("insert into pieces values(?, ?, ?)"));
  return insert.Bind(1, static_cast<std::int64_t>(revision)).Bind(2, number).Bind(3, body).Run();
}

Result<> LetCount(Database& database, Revision revision, std::int64_t pieces) {
  Statement replace = TRY(database.Prepare("insert or replace into kept values(1, ?, ?)"));
  return replace.Bind(1, static_cast<std::int64_t>(revision)).Bind(2, pieces).Run();
}

}  // namespace

const char* SnapshotTable::Schema() {
  return "create table kept(id integer primary key check (id = 1), revision integer not null, pieces integer "
         "not null);"
         "create table pieces(revision integer not null, number integer not null, body blob not null, "
         "primary key(revision, number));";
}

Result<> SnapshotTable::Upgrade(Database& database) {
  TRY(database.Run(Schema()));
  Statement select = TRY(database.Prepare("select revision, body from snapshot"));
  if (TRY(select.Step())) {
    auto revision = static_cast<Revision>(select.Int(0));
    std::string bytes = select.Blob(1);
    std::int64_t pieces = PiecesOf(bytes.size());
    for (std::int64_t i = 0; i < pieces; ++i) TRY(InsertPiece(database, revision, i, PieceOf(bytes, i)));
    TRY(LetCount(database, revision, pieces));
  }
  select.Reset();
  return database.Run("drop table snapshot");
}

Result<> SnapshotTable::Open(Database& database, bool keep_records) {
  keep_records_ = keep_records;
  std::optional<Kept> kept = TRY(Find(database));
  if (kept) kept_ = kept->revision;
  return {};
}

void SnapshotTable::Begin(Snapshot snapshot) {
  CHECK(!writing());
  next_ = std::move(snapshot);
  next_piece_ = 0;
}

Result<bool> SnapshotTable::Work(Database& database) {
  if (!clean_) {  // first: a piece that was left could have the number of one to be written
    TRY(Drop(database));
    return false;
  }
  if (!next_) return false;
  if (next_->revision != kept_ && next_piece_ < PiecesOf(next_->bytes.size())) {
    TRY(WritePiece(database));
    return false;
  }
  if (next_->revision != kept_) {
    TRY(LetCount(database, next_->revision, next_piece_));
    kept_ = next_->revision;
    clean_ = false;
  }
  next_.reset();
  return true;
}

Result<> SnapshotTable::WritePiece(Database& database) {
  TRY(InsertPiece(database, next_->revision, next_piece_, PieceOf(next_->bytes, next_piece_)));
  ++next_piece_;
  return {};
}

Result<> SnapshotTable::Drop(Database& database) {
  std::string revision = std::to_string(kept_);
  TRY(database.Run("delete from pieces where rowid = (select rowid from pieces where revision < " + revision +
                   " or revision > " + revision + " limit 1)"));
  if (!keep_records_) {
    TRY(database.Run("delete from records where revision <= min(" + revision +
                     ", (select min(revision) from records) + " + std::to_string(kRecordsDroppedAtOnce - 1) +
                     ")"));
  }
  std::int64_t left = TRY(database.IntOf("select exists(select 1 from pieces where revision < " + revision +
                                         " or revision > " + revision + ")"));
  if (!keep_records_)
    left += TRY(database.IntOf("select exists(select 1 from records where revision <= " + revision + ")"));
  clean_ = left == 0;
  return {};
}

Result<std::optional<SnapshotTable::Kept>> SnapshotTable::Find(Database& database) {
  Statement select = TRY(database.Prepare("select revision, pieces from kept"));
  if (!TRY(select.Step())) return std::optional<Kept>();
  return std::optional(Kept{static_cast<Revision>(select.Int(0)), select.Int(1)});
}

Result<std::string> SnapshotTable::Piece(Database& database, Revision revision, std::int64_t number) {
  Statement select = TRY(database.Prepare("select body from pieces where revision = ? and number = ?"));
  select.Bind(1, static_cast<std::int64_t>(revision)).Bind(2, number);
  if (!TRY(select.Step()))
    return Fail(Code::kDataLoss, "the snapshot at revision ", revision, " has no piece ", number);
  return select.Blob(0);
}

}  // namespace slipway::scheduler
