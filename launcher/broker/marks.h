// SPDX-License-Identifier: Apache-2.0
// A signed credential may be shown a second time by whoever has kept it. So each one that is accepted leaves
// a mark that is on disk before anything is started: replays are refused by marks, not by clocks, and also
// after a power cut. ReplayMarks decides (no I/O); MarkStore keeps it on disk.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/wire/wire.h"
#include "launcher/spec/step_id.h"

namespace slipway {

// What of an accepted credential must be remembered.
struct Mark {
  std::uint64_t epoch = 0;
  StepId step;
  std::uint64_t oldest_live_job = 0;
  auto operator<=>(const Mark&) const = default;
};
void Fields(auto& archive, IsA<Mark> auto& v) { archive(v.epoch, v.step, v.oldest_live_job); }

class ReplayMarks {
 public:
  // kPermissionDenied: an epoch lower than one seen, a job that has ended for good, an attempt lower than one
  // seen, or a (job, attempt, step) used before.
  Result<> Check(const Mark& mark) const;
  void Add(const Mark& mark);
  // The fewest marks from which the same answers follow.
  std::vector<Mark> Live() const;

 private:
  struct Job {
    std::uint32_t attempt = 0;
    std::set<std::uint32_t> steps;  // of that attempt: earlier ones are refused as a whole
  };
  std::uint64_t epoch_ = 0, oldest_live_job_ = 0;
  std::map<std::uint64_t, Job> jobs_;
};

// Append-only records of fixed size with a checksum. A torn last record (power cut while it was written; its
// step was never started) is dropped; damage anywhere else is kDataLoss, since a lost mark would be a replay
// allowed.
class MarkStore {
 public:
  // Past `compact_at` records the file is rewritten with the live ones.
  static Result<MarkStore> Open(const std::string& path, std::size_t compact_at = 4096);
  // Checks, and on success has the mark on disk (fdatasync) before it returns.
  Result<> Use(const Mark& mark);

 private:
  Result<> Load();
  Result<> Compact();
  std::string path_;
  UniqueFd file_;
  std::uint64_t size_bytes_ = 0;
  std::size_t compact_at_least_ = 0, compact_at_ = 0;
  bool broken_ = false;  // a half-written record could not be cut off: nothing may be appended behind it
  ReplayMarks marks_;
};

}  // namespace slipway
