// SPDX-License-Identifier: Apache-2.0
// The default store: one SQLite file in WAL mode with synchronous=FULL. A commit costs an fdatasync, so
// batches that wait at the same moment share one: a writer thread takes all that are queued into one
// transaction. A portion of a snapshot (snapshot_table.h) goes along with each.
#pragma once

#include <memory>
#include <string>

#include "scheduler/store/store.h"

namespace slipway::scheduler {

struct SqliteStoreOptions {
  std::string path;  // made when it is not there, mode 0600; its folder must exist
  std::size_t batches_per_commit_max = 4096;
  int checkpoint_pages = 256;  // of 4 KiB: small, so that no commit waits long behind a checkpoint
  bool keep_records = false;   // do not drop records that a snapshot covers
  std::string vfs;             // SQLite's name of the file system; empty: the real one
};

// Opens, and takes the file for this process alone: kUnavailable when another process has it. kDataLoss when
// the file is no store of ours or damaged. The destructor commits the batches that are queued,
// without callbacks, drops a snapshot that is not whole, and stops the writer.
Result<std::unique_ptr<Store>> OpenSqliteStore(SqliteStoreOptions options, Store::Post post);

}  // namespace slipway::scheduler
