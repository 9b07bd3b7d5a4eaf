// SPDX-License-Identifier: Apache-2.0
// What a disk can do to a log, on demand.
#include "scheduler/store/fault_store.h"

#include <algorithm>
#include <utility>

namespace slipway::scheduler {

void FaultStore::Append(std::vector<std::string> records, Epoch expected, AppendCallback done) {
  Operation operation;
  operation.records = std::move(records);
  operation.expected = expected;
  operation.appended = std::move(done);
  Queue(std::move(operation));
}

void FaultStore::SaveSnapshot(Snapshot snapshot, Epoch expected, DoneCallback done) {
  Operation operation;
  operation.snapshot = std::move(snapshot);
  operation.expected = expected;
  operation.saved = std::move(done);
  Queue(std::move(operation));
}

void FaultStore::Queue(Operation operation) {
  waiting_.push_back(std::move(operation));
  if (commit_at_once_) Commit();
}

void FaultStore::Commit(std::size_t batches) {
  for (; batches > 0 && !waiting_.empty(); --batches) {
    Operation operation = std::move(waiting_.front());
    waiting_.pop_front();
    Perform(std::move(operation), true);
  }
}

void FaultStore::Crash(std::size_t torn) {
  for (; torn > 0 && !waiting_.empty(); --torn) {
    Perform(std::move(waiting_.front()), false);
    waiting_.pop_front();
  }
  waiting_.clear();
  failed_ = false;
  fail_in_.reset();
}

void FaultStore::Perform(Operation operation, bool tell) {
  ++operations_;
  if (fail_in_ && --*fail_in_ == 0) failed_ = true;
  Result<Revision> result = last_revision();
  if (failed_) {
    result = Fail(Code::kResourceExhausted, "store: the disk is full");
  } else if (operation.expected != epoch_) {
    result =
        Fail(Code::kFailedPrecondition, "store: epoch ", epoch_, " has begun, we are ", operation.expected);
    failed_ = true;
  } else if (operation.snapshot) {
    Revision covered = std::min(operation.snapshot->revision, last_revision());
    if (covered >= first_)
      records_.erase(records_.begin(), records_.begin() + static_cast<std::ptrdiff_t>(covered - first_ + 1));
    first_ = std::max(first_, covered + 1);
    snapshot_ = std::move(operation.snapshot);
  } else {
    std::ranges::move(operation.records, std::back_inserter(records_));
    result = last_revision();
  }
  if (tell) Answer(operation, std::move(result));
}

void FaultStore::Answer(const Operation& operation, Result<Revision> result) {
  if (operation.appended) post_([done = operation.appended, result] { done(result); });
  if (!operation.saved) return;
  post_([done = operation.saved, result] {
    if (result) {
      done({});
    } else {
      done(Failure(result.error()));
    }
  });
}

Result<std::vector<StoredRecord>> FaultStore::ReadAfter(Revision after, std::size_t records_max) {
  std::vector<StoredRecord> found;
  for (Revision revision = std::max(after + 1, first_);
       revision <= last_revision() && found.size() < records_max; ++revision) {
    found.push_back({revision, records_[revision - first_]});
  }
  return found;
}

Result<std::optional<Snapshot>> FaultStore::LoadSnapshot() { return snapshot_; }

Result<Epoch> FaultStore::CurrentEpoch() { return epoch_; }

Result<Epoch> FaultStore::BeginEpoch(Epoch expected) {
  if (expected != epoch_) return Fail(Code::kAborted, "store: the epoch is ", epoch_, ", not ", expected);
  return ++epoch_;
}

}  // namespace slipway::scheduler
