// SPDX-License-Identifier: Apache-2.0
// Proof that a store is whole: every name leads to bytes that are what its digest says, and the catalogue and
// the folder know the same images.
#pragma once

#include <string>
#include <vector>

#include "imagestore/store/blob_store.h"
#include "imagestore/store/catalogue.h"

namespace slipway::store {

// One digest that the catalogue or the folder knows.
struct Claim {
  std::string digest;
  std::vector<std::string> names;  // that mean it now
  std::uint64_t size = 0;          // that the catalogue says; 0: it says none
  bool recorded = false;           // the catalogue has a row of it
  bool before = false;             // a name had it, and none has it now
};
Result<std::vector<Claim>> ClaimsOf(const Catalogue& catalogue, const BlobStore& blobs);

struct Finding {
  enum State {
    kWhole,
    kUnnamed,    // whole; no name means it: garbage, or a file that somebody's job uses
    kGone,       // only a name's past had it, and its bytes were collected: as it should be
    kMissing,    // a name or the catalogue means it, and there are no bytes
    kDamaged,    // the bytes are others
    kUnreadable  // the disk fails
  } state = kWhole;
  std::string digest;
  std::vector<std::string> names;
  std::uint64_t bytes = 0;
  std::string what, cure;  // one line each; empty when all is well
  bool well() const { return state == kWhole || state == kUnnamed || state == kGone; }
};
const char* FindingName(Finding::State state);  // "whole", "unnamed", …

// Reads all of the blob's bytes; needs no lock.
Finding Verify(const Claim& claim, const BlobStore& blobs);

}  // namespace slipway::store
