// SPDX-License-Identifier: Apache-2.0
// What images take up, what nobody needs, and whether all are whole.
#include "base/log/log.h"
#include "base/text/units.h"
#include "scheduler/server/image_desk.h"

namespace slipway::scheduler {

// ---- Quotas

Result<ImageDesk::Usage> ImageDesk::CountUsage(std::optional<std::uint32_t> asking) {
  Usage usage;
  std::map<std::string, std::uint64_t> stored;
  for (const store::Blob& blob : TRY(blobs_.List())) {
    stored[blob.digest] = blob.size;
    usage.bytes += blob.size;
    ++usage.images;
  }
  usage.subjects = TRY(catalogue_.Usage(stored));
  if (asking) usage.subjects.try_emplace(Cat("user:", *asking));
  for (auto& [subject, use] : usage.subjects) {
    if (use.limit == 0)
      use.limit = subject.starts_with("user:") ? options_.quota_user : options_.quota_project;
  }
  return usage;
}

Result<ImageDesk::Usage> ImageDesk::TellUsage(std::uint32_t asking) {
  std::lock_guard lock(mutex_);
  return CountUsage(asking);
}

Result<> ImageDesk::SetLimit(const std::string& subject, std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  return catalogue_.SetLimit(subject, bytes);
}

// Of one more image, which may be counted already.
Result<> ImageDesk::CheckRoom(const std::string& subject, const std::string& digest, std::uint64_t size) {
  if (TRY(catalogue_.Counts(subject, digest))) return {};
  Usage usage = TRY(CountUsage());
  bool user = subject.starts_with("user:");
  auto known = usage.subjects.find(subject);
  store::Use use = known != usage.subjects.end() ? known->second : store::Use{};
  if (use.limit == 0) use.limit = user ? options_.quota_user : options_.quota_project;
  if (use.limit == 0) return {};
  if (use.bytes + size <= use.limit) return {};
  return Fail(
      Code::kResourceExhausted, user ? "your images" : Cat("the images of ", subject), " would take up ",
      FormatBytes(use.bytes + size), " of ", FormatBytes(use.limit),
      "; `slipway image du` says what does, `slipway image rm` and `slipway image gc --run` make room");
}

Result<> ImageDesk::CheckQuota(const Requester& by) {
  if (by.admin) return {};
  auto lock = LockFor(by);
  return CheckRoom(Cat("user:", by.uid), "", 1);
}

// ---- Garbage

// The bytes go in the worker: a file system takes its time for large files.
Result<> ImageDesk::TakeAway(const std::string& digest) {
  manifests_.erase(digest);
  mpi_of_.erase(digest);
  std::string retired = TRY(store::TakeAway(catalogue_, blobs_, digest));
  if (retired.empty()) return {};
  worker_->Post([this, retired] {
    if (auto gone = blobs_.Discard(retired); !gone)
      Log(Level::kWarn, "an image's bytes could not be removed; the next start tries again",
          {{"reason", gone.error().message}});
  });
  return {};
}

Result<> ImageDesk::Remove(const std::string& name, const Requester& by, const InUse& in_use) {
  auto lock = LockFor(by);
  Seen seen = TRY(See(name, by));
  if (seen.record.name.empty())
    return Fail(Code::kInvalidArgument, "give the image's name: a digest is taken away by gc");
  TRY(CheckTakeAway(seen, by));
  store::ImageRecord gone = TRY(catalogue_.Remove(seen.record.name, seen.record.owner_uid));
  std::vector<std::string> digests = gone.previous;
  digests.push_back(gone.digest);
  for (const std::string& digest : digests) {
    if (!TRY(catalogue_.Mentions(digest)) && !in_use(digest) && !Pinned(digest)) TRY(TakeAway(digest));
  }
  return {};
}

Result<std::vector<store::Garbage>> ImageDesk::Collect(store::GarbageRule rule, const InUse& in_use,
                                                       bool run) {
  std::lock_guard lock(mutex_);
  std::vector<store::Garbage> garbage =
      TRY(store::FindGarbage(catalogue_, TRY(blobs_.List()), rule,
                             [&](const std::string& digest) { return in_use(digest) || Pinned(digest); }));
  for (const store::Garbage& one : garbage) {
    if (!run) break;
    TRY(TakeAway(one.digest));
    Log(Level::kInfo, "image collected", {{"digest", one.digest}, {"bytes", one.bytes}, {"why", one.why}});
  }
  return garbage;
}

// ---- Proof

Result<> ImageDesk::Verify(const std::string& digest,
                           const std::function<bool(store::Finding, std::size_t)>& found) {
  std::vector<store::Claim> claims;
  {
    std::lock_guard lock(mutex_);
    claims = TRY(store::ClaimsOf(catalogue_, blobs_));
  }
  if (!digest.empty())
    std::erase_if(claims, [&](const store::Claim& claim) { return claim.digest != digest; });
  std::size_t left = claims.size();
  for (const store::Claim& claim : claims) {
    store::Finding finding = store::Verify(claim, blobs_);
    // It may have come or gone while others were read: what the catalogue says now counts.
    if (finding.state == store::Finding::kMissing) {
      std::lock_guard lock(mutex_);
      bool still = TRY(catalogue_.Mentions(claim.digest)) || TRY(catalogue_.FindImage(claim.digest));
      if (!still) finding.state = store::Finding::kGone;
    }
    bool damaged = finding.state == store::Finding::kDamaged || finding.state == store::Finding::kMissing;
    if (damaged || finding.well()) {
      std::lock_guard lock(mutex_);
      TRY(catalogue_.NoteDamage(claim.digest, damaged));
    }
    if (!found(std::move(finding), --left + 1)) return {};
  }
  store::Finding catalogue;
  {
    std::lock_guard lock(mutex_);
    if (auto checked = catalogue_.Check(); !checked) {
      catalogue.state = store::Finding::kDamaged;
      catalogue.what = checked.error().message;
      catalogue.cure = "restore catalogue.db from a backup";
    }
  }
  found(std::move(catalogue), 0);
  return {};
}

}  // namespace slipway::scheduler
