// SPDX-License-Identifier: Apache-2.0
#include "imagestore/store/verify.h"

#include <sys/stat.h>

#include <map>

namespace slipway::store {

Result<std::vector<Claim>> ClaimsOf(const Catalogue& catalogue, const BlobStore& blobs) {
  std::map<std::string, Claim> claims;
  auto of = [&](const std::string& digest) -> Claim& {
    Claim& claim = claims[digest];
    claim.digest = digest;
    return claim;
  };
  for (const ImageRecord& record : TRY(catalogue.List())) {
    Claim& claim = of(record.digest);
    claim.names.push_back(record.name);
    claim.size = record.size;
    for (const std::string& digest : record.previous) of(digest).before = true;
  }
  for (const ImageFacts& facts : TRY(catalogue.Images())) {
    Claim& claim = of(facts.digest);
    claim.recorded = true;
    if (facts.size != 0) claim.size = facts.size;
  }
  for (const Blob& blob : TRY(blobs.List())) of(blob.digest);
  std::vector<Claim> list;
  for (auto& [digest, claim] : claims) {
    claim.before = claim.before && claim.names.empty();
    list.push_back(std::move(claim));
  }
  return list;
}

const char* FindingName(Finding::State state) {
  switch (state) {
    case Finding::kWhole:
      return "whole";
    case Finding::kUnnamed:
      return "unnamed";
    case Finding::kGone:
      return "gone";
    case Finding::kMissing:
      return "missing";
    case Finding::kDamaged:
      return "damaged";
    case Finding::kUnreadable:
      return "unreadable";
  }
  return "?";
}

Finding Verify(const Claim& claim, const BlobStore& blobs) {
  Finding finding{.digest = claim.digest, .names = claim.names};
  auto is = [&](Finding::State state, std::string what) {
    finding.state = state;
    finding.what = std::move(what);
    if (!finding.well())
      finding.cure = claim.names.empty() ? "`slipway image gc --run` takes it away"
                                         : Cat("add it again: slipway image add FILE ", claim.names[0]);
    return finding;
  };
  auto file = blobs.OpenForReading(claim.digest);
  if (!file && file.error().code == Code::kNotFound)
    return claim.before && !claim.recorded ? is(Finding::kGone, "")
                                           : is(Finding::kMissing, "its bytes are not in the store");
  if (!file) return is(Finding::kUnreadable, file.error().message);
  struct stat info;
  if (::fstat(file->get(), &info) < 0) return is(Finding::kUnreadable, "its size cannot be told");
  finding.bytes = static_cast<std::uint64_t>(info.st_size);
  auto digest = DigestOfFile(file->get());
  if (!digest) return is(Finding::kUnreadable, digest.error().message);
  if (*digest != claim.digest) return is(Finding::kDamaged, Cat("its bytes are ", *digest));
  if (claim.size != 0 && claim.size != finding.bytes)
    return is(Finding::kDamaged, Cat("the catalogue says ", claim.size, " bytes, it has ", finding.bytes));
  return is(claim.names.empty() ? Finding::kUnnamed : Finding::kWhole, "");
}

}  // namespace slipway::store
