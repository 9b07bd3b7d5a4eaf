// SPDX-License-Identifier: Apache-2.0
// Garbage: images that nobody would miss. What is garbage is decided apart from taking it away; taking one
// away is a chain of steps, each of which leaves a store that is whole: the catalogue never names bytes that
// are gone, and bytes that nothing names are garbage again next time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "imagestore/store/blob_store.h"
#include "imagestore/store/catalogue.h"

namespace slipway::store {

struct GarbageRule {
  std::int64_t now = 0;     // milliseconds since 1970
  std::int64_t unused = 0;  // milliseconds: what was stored or used within them stays
  bool history = false;     // what names meant before goes, too (they still tell it, but cannot be run)
  std::optional<std::uint32_t> holder;  // only what he alone brought; nothing: everybody's
};

struct Garbage {
  std::string digest;
  std::uint64_t bytes = 0;
  std::int64_t last_needed = 0;  // milliseconds since 1970: stored or used
  std::string why;               // one plain sentence
};

// `in_use`: a queued or running job, or somebody at this moment, needs it.
Result<std::vector<Garbage>> FindGarbage(const Catalogue& catalogue, const std::vector<Blob>& blobs,
                                         const GarbageRule& rule,
                                         const std::function<bool(const std::string&)>& in_use);

// Called before each effect with what it is; an error ends the chain there. For tests, which cut it
// everywhere.
using BeforeStep = std::function<Result<>(const char* effect)>;

// The catalogue forgets it and its name in the store is gone. Returns what BlobStore::Discard then takes
// away; empty when there were no bytes.
Result<std::string> TakeAway(Catalogue& catalogue, const BlobStore& blobs, const std::string& digest,
                             const BeforeStep& before = {});

}  // namespace slipway::store
