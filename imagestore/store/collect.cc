// SPDX-License-Identifier: Apache-2.0
#include "imagestore/store/collect.h"

#include <algorithm>
#include <map>
#include <set>

namespace slipway::store {

Result<std::vector<Garbage>> FindGarbage(const Catalogue& catalogue, const std::vector<Blob>& blobs,
                                         const GarbageRule& rule,
                                         const std::function<bool(const std::string&)>& in_use) {
  std::set<std::string> current, past;
  for (const ImageRecord& record : TRY(catalogue.List())) {
    current.insert(record.digest);
    past.insert(record.previous.begin(), record.previous.end());
  }
  std::map<std::string, ImageFacts> known;
  for (ImageFacts& facts : TRY(catalogue.Images())) known[facts.digest] = std::move(facts);
  std::vector<Garbage> garbage;
  for (const Blob& blob : blobs) {
    bool before = past.contains(blob.digest);
    if (current.contains(blob.digest) || (before && !rule.history)) continue;
    Garbage one{blob.digest, blob.size, blob.modified, before ? "a name had it before" : "it has no name"};
    auto facts = known.find(blob.digest);
    std::vector<std::uint32_t> holders;
    if (facts != known.end()) {
      one.last_needed = std::max(facts->second.created, facts->second.last_used);
      holders = facts->second.holders;
    }
    bool his = !rule.holder || (holders.size() == 1 && holders[0] == *rule.holder);
    if (!his || one.last_needed > rule.now - rule.unused || in_use(blob.digest)) continue;
    garbage.push_back(std::move(one));
  }
  return garbage;
}

Result<std::string> TakeAway(Catalogue& catalogue, const BlobStore& blobs, const std::string& digest,
                             const BeforeStep& before) {
  auto step = [&](const char* effect) { return before ? before(effect) : Result<>{}; };
  TRY(step("the catalogue forgets it"));
  TRY(catalogue.ForgetImage(digest));
  TRY(step("its name in the store goes"));
  auto retired = blobs.Retire(digest);
  if (!retired && retired.error().code == Code::kNotFound) return std::string();
  TRY(step("its bytes are about to go"));
  return retired;
}

}  // namespace slipway::store
