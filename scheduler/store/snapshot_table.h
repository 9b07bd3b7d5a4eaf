// SPDX-License-Identifier: Apache-2.0
// A snapshot is tens of megabytes: written in one transaction, every commit behind it would wait for all of
// it to reach the disk. So it is written in pieces, one a transaction, beside the batches that come
// meanwhile; the last transaction makes it the one that counts. What it replaces (pieces and records) goes in
// portions after that, and so does what a killed process left. Private to the store; every call with its
// connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result/result.h"
#include "scheduler/store/sqlite.h"
#include "scheduler/store/store.h"

namespace slipway::scheduler {

inline constexpr std::size_t kSnapshotPieceBytes = 256 << 10;
inline constexpr std::int64_t kRecordsDroppedAtOnce = 500;

class SnapshotTable {
 public:
  // The tables, of version 2 of the file.
  static const char* Schema();
  // Makes those of version 1 into them, within the transaction that is open.
  static Result<> Upgrade(Database& database);

  // `keep_records`: those that a snapshot covers are not dropped.
  Result<> Open(Database& database, bool keep_records);
  // The next to be written. Only while !writing().
  void Begin(Snapshot snapshot);
  bool writing() const { return next_.has_value(); }
  // Is there nothing that Work would do?
  bool idle() const { return !writing() && clean_; }
  // One portion, within the transaction that is open; it counts once that is committed. True: with it the
  // snapshot counts. After an error of this or of the commit it must not be called again.
  Result<bool> Work(Database& database);

  // The one that counts. Its pieces, one a call, so that others may have the connection in between.
  struct Kept {
    Revision revision = 0;
    std::int64_t pieces = 0;
  };
  static Result<std::optional<Kept>> Find(Database& database);
  static Result<std::string> Piece(Database& database, Revision revision, std::int64_t number);

 private:
  Result<> WritePiece(Database& database);
  Result<> Drop(Database& database);

  bool keep_records_ = false;
  Revision kept_ = 0;   // of the one that counts; 0: there is none
  bool clean_ = false;  // nothing is left of what it replaced
  std::optional<Snapshot> next_;
  std::int64_t next_piece_ = 0;
};

}  // namespace slipway::scheduler
