// SPDX-License-Identifier: Apache-2.0
// A store in memory whose disk can misbehave, for tests and the simulator. Commits happen when the test says
// so; a crash loses what was not committed; the Nth operation can be made to fail.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/store/store.h"

namespace slipway::scheduler {

class FaultStore final : public Store {
 public:
  // `post` is called for each callback; the simulator's delays it.
  explicit FaultStore(Post post) : post_(std::move(post)) {}

  void Append(std::vector<std::string> records, Epoch expected, AppendCallback done) override;
  Result<std::vector<StoredRecord>> ReadAfter(Revision after, std::size_t records_max) override;
  void SaveSnapshot(Snapshot snapshot, Epoch expected, DoneCallback done) override;
  Result<std::optional<Snapshot>> LoadSnapshot() override;
  Result<Epoch> CurrentEpoch() override;
  Result<Epoch> BeginEpoch(Epoch expected) override;

  // Appends and snapshots are counted from 1; number `n` from now fails as a full disk does, and the store
  // with it.
  void FailOperation(std::uint64_t n) { fail_in_ = n; }
  // false: appended batches wait for Commit(). true (the default): each is durable at once.
  void CommitAtOnce(bool on) { commit_at_once_ = on; }
  // Makes the first `batches` waiting ones durable and posts their callbacks.
  void Commit(std::size_t batches = SIZE_MAX);
  // The process died: what was not durable is gone with all callbacks. `torn`: the first `torn` waiting
  // batches had reached the disk although nobody was told.
  void Crash(std::size_t torn = 0);
  std::size_t waiting() const { return waiting_.size(); }
  std::uint64_t operations() const { return operations_; }
  Revision last_revision() const { return first_ + records_.size() - 1; }
  void set_post(Post post) { post_ = std::move(post); }

 private:
  struct Operation {
    std::vector<std::string> records;
    std::optional<Snapshot> snapshot;
    Epoch expected = 0;
    AppendCallback appended;
    DoneCallback saved;
  };
  void Queue(Operation operation);
  void Perform(Operation operation, bool tell);
  void Answer(const Operation& operation, Result<Revision> result);

  Post post_;
  Epoch epoch_ = 0;
  std::vector<std::string> records_;  // durable; records_[0] has revision first_
  Revision first_ = 1;
  std::optional<Snapshot> snapshot_;
  std::deque<Operation> waiting_;
  bool commit_at_once_ = true, failed_ = false;
  std::uint64_t operations_ = 0;
  std::optional<std::uint64_t> fail_in_;
};

}  // namespace slipway::scheduler
