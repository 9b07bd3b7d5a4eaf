// SPDX-License-Identifier: Apache-2.0
// Where events become durable. A store is an ordered log of opaque records with a revision each (1, 2, …),
// the newest snapshot, and the epoch of the leader that may write. The interface is what SQLite, etcd and
// PostgreSQL can all do: append, compare-and-swap, read. A watch can be added without changing what is here.
//
// Threads: all calls from the owner's, but ReadAfter and LoadSnapshot from any one thread (not while a
// snapshot is being saved); callbacks come back on the owner's thread (through the `post` a store is made
// with). After the first error of an Append or SaveSnapshot the store is failed: every later one gets an
// error too, and what was reported as committed before is safe. Open it again to go on.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result/result.h"

namespace slipway::scheduler {

using Revision = std::uint64_t;  // 0: before the first record
using Epoch = std::uint64_t;     // 0: nobody has led yet

struct StoredRecord {
  Revision revision = 0;
  std::string bytes;
};

struct Snapshot {
  Revision revision = 0;  // all records up to and including this one are in it
  std::string bytes;
};

class Store {
 public:
  using AppendCallback = std::function<void(Result<Revision>)>;  // the revision of the batch's last record
  using DoneCallback = std::function<void(Result<>)>;
  // Runs a task on the owner's thread: Loop::Post.
  using Post = std::function<void(std::function<void()>)>;

  virtual ~Store() = default;

  // All records of the batch or none, behind all batches before it; answered in order, after they are on the
  // disk. An empty batch commits nothing and is answered in its place. kFailedPrecondition when the store's
  // epoch is not `expected`: another leader has taken over.
  virtual void Append(std::vector<std::string> records, Epoch expected, AppendCallback done) = 0;

  // Records after `after`, at most `records_max` of them, in order. Fewer: that was all.
  virtual Result<std::vector<StoredRecord>> ReadAfter(Revision after, std::size_t records_max) = 0;

  // Behind all batches before it; not all at once, so that no batch waits for all of it. Of one that was not
  // answered nothing is left after the next opening, or all. Records up to the snapshot's revision may be
  // dropped once it is durable.
  virtual void SaveSnapshot(Snapshot snapshot, Epoch expected, DoneCallback done) = 0;
  virtual Result<std::optional<Snapshot>> LoadSnapshot() = 0;

  virtual Result<Epoch> CurrentEpoch() = 0;
  // Compare-and-swap: makes the epoch expected+1, durably, and returns it; kAborted when it was not
  // `expected`.
  virtual Result<Epoch> BeginEpoch(Epoch expected) = 0;
};

}  // namespace slipway::scheduler
