// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/marks.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

namespace slipway {

Result<> ReplayMarks::Check(const Mark& mark) const {
  auto deny = [](auto... pieces) { return Fail(Code::kPermissionDenied, "launch credential: ", pieces...); };
  if (mark.epoch < epoch_)
    return deny("from epoch ", mark.epoch, " of a deposed controller, epoch ", epoch_, " has been seen");
  if (mark.step.job < std::max(oldest_live_job_, mark.oldest_live_job))
    return deny("job ", mark.step.job, " has ended for good");
  auto job = jobs_.find(mark.step.job);
  if (job == jobs_.end()) return {};
  if (mark.step.attempt < job->second.attempt)
    return deny("attempt ", mark.step.attempt, " of job ", mark.step.job, " is over, ", job->second.attempt,
                " has been seen");
  if (mark.step.attempt == job->second.attempt && job->second.steps.contains(mark.step.step))
    return deny("step ", ToString(mark.step), " has been started before");
  return {};
}

void ReplayMarks::Add(const Mark& mark) {
  epoch_ = std::max(epoch_, mark.epoch);
  if (mark.oldest_live_job > oldest_live_job_) {
    oldest_live_job_ = mark.oldest_live_job;
    jobs_.erase(jobs_.begin(), jobs_.lower_bound(oldest_live_job_));
  }
  if (mark.step.job == 0 || mark.step.job < oldest_live_job_) return;
  Job& job = jobs_[mark.step.job];
  if (mark.step.attempt < job.attempt) return;
  if (mark.step.attempt > job.attempt) job = {mark.step.attempt, {}};
  job.steps.insert(mark.step.step);
}

std::vector<Mark> ReplayMarks::Live() const {
  std::vector<Mark> live;
  for (auto& [id, job] : jobs_) {
    for (std::uint32_t step : job.steps) live.push_back({epoch_, {id, job.attempt, step}, oldest_live_job_});
  }
  // Without a live job the epoch and the oldest job still count; job 0 never is one.
  if (live.empty()) live.push_back({epoch_, {0, 0, 0}, oldest_live_job_});
  return live;
}

namespace {

constexpr std::uint64_t kMagic = 0x31'6b'72'61'6d'77'6c'73;  // "slwmark1"
constexpr std::size_t kRecordBytes = 48;

// FNV-1a: it has to tell a torn record from a whole one, not to withstand anybody; the file is root's.
std::uint64_t Checksum(std::string_view bytes) {
  std::uint64_t sum = 0xcbf29ce484222325;
  for (unsigned char byte : bytes) sum = (sum ^ byte) * 0x100000001b3;
  return sum;
}

std::string EncodeMark(const Mark& mark) {
  std::string bytes = Encode(kMagic) + Encode(mark);
  bytes += Encode(Checksum(bytes));
  CHECK(bytes.size() == kRecordBytes);
  return bytes;
}

Result<Mark> DecodeMark(std::string_view bytes) {
  std::string_view body = bytes.substr(0, kRecordBytes - 8);
  if (bytes.substr(body.size()) != Encode(Checksum(body)) || !body.starts_with(Encode(kMagic)))
    return Fail(Code::kDataLoss, "damaged record");
  return Decode<Mark>(body.substr(8), "mark");
}

}  // namespace

Result<MarkStore> MarkStore::Open(const std::string& path, std::size_t compact_at) {
  MarkStore store;
  store.compact_at_least_ = store.compact_at_ = compact_at;
  store.path_ = path;
  store.file_ = TRY(slipway::Open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  TRY_CONTEXT(store.Load(), path);
  TRY(SyncFolderOf(path));
  return store;
}

Result<> MarkStore::Load() {
  std::string bytes = TRY(ReadAll(file_.get(), 1 << 30));
  std::size_t whole = bytes.size() / kRecordBytes;
  for (std::size_t i = 0; i < whole; ++i) {
    auto mark = DecodeMark(std::string_view(bytes).substr(i * kRecordBytes, kRecordBytes));
    if (mark) {
      marks_.Add(*mark);
      size_bytes_ += kRecordBytes;
    } else if (i + 1 < whole) {
      return Fail(Code::kDataLoss, "record ", i, " of ", whole,
                  " is damaged: replays could not be refused any more");
    }
  }
  if (size_bytes_ != bytes.size() && ::ftruncate(file_.get(), static_cast<off_t>(size_bytes_)) < 0)
    return ErrnoFail("ftruncate");
  return {};
}

Result<> MarkStore::Use(const Mark& mark) {
  if (broken_)
    return Fail(Code::kDataLoss, path_,
                " could not be written before; nothing is started until the broker is started anew");
  TRY(marks_.Check(mark));
  std::string bytes = EncodeMark(mark);
  ssize_t written = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(size_bytes_));
  if (written != static_cast<ssize_t>(bytes.size()) || ::fdatasync(file_.get()) < 0) {
    if (written >= 0 && written < static_cast<ssize_t>(bytes.size())) errno = ENOSPC;
    Failure failure = ErrnoFail("writing the mark of a step to", path_);
    broken_ = ::ftruncate(file_.get(), static_cast<off_t>(size_bytes_)) < 0;
    return failure;
  }
  size_bytes_ += bytes.size();
  marks_.Add(mark);
  // The mark itself is safe; a compaction that fails is tried again at the next doubling.
  if (size_bytes_ / kRecordBytes >= compact_at_) [[maybe_unused]]
    auto compacted = Compact();
  return {};
}

Result<> MarkStore::Compact() {
  std::vector<Mark> live = marks_.Live();
  compact_at_ = std::max(compact_at_least_, 2 * live.size());
  std::string bytes;
  for (const Mark& mark : live) bytes += EncodeMark(mark);
  TRY(WriteFileAtomically(path_, bytes, 0600));
  // From here on the old file is nameless: appending to it would lose marks.
  auto opened = slipway::Open(path_, O_RDWR | O_NOFOLLOW);
  broken_ = !opened;
  if (!opened) return Failure(std::move(opened).error());
  file_ = std::move(*opened);
  size_bytes_ = bytes.size();
  return SyncFolderOf(path_);
}

}  // namespace slipway
