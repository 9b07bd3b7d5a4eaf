// SPDX-License-Identifier: Apache-2.0
// Who signs, and whose signatures count: PGP keys (pgp.h) and PEM keys (dsse.h) behind two small faces.
#pragma once

#include <string>
#include <string_view>

#include "base/result/result.h"
#include "imagestore/sif/types.h"

namespace slipway::trust {

struct SignedText {
  std::string bytes;        // the signature object's
  sif::HashType hash;       // that the signature itself uses
  std::string fingerprint;  // 20 raw bytes of a PGP key; empty for DSSE
};

class Signer {
 public:
  virtual ~Signer() = default;
  virtual Result<SignedText> Sign(std::string_view text) = 0;
};

// What became of one signature object.
struct Checked {
  enum State {
    kGood,
    kUnknownKey,  // by nobody whose signatures count; says nothing
    kWeak,        // a hash that is broken: counts as nothing (CVE-2022-39237)
    kUnusable,    // the key is expired or revoked, or the format is one that is not read
    kBad,         // by a key that counts, and wrong: somebody changed something
  } state = kBad;
  std::string text;    // what was signed; only when good
  std::string signer;  // for people: the key's name and address, or how the key looks
  std::string key;     // its fingerprint, or "sha256:…" of a PEM key
  std::string why;     // unless good
};

class Checker {
 public:
  virtual ~Checker() = default;
  // `descriptor_hash`: what the object's descriptor says; only a hint which hash a DSSE signature uses.
  virtual Checked Check(std::string_view signature, sif::HashType descriptor_hash) = 0;
};

}  // namespace slipway::trust
