// SPDX-License-Identifier: Apache-2.0
// Signing a SIF, and saying whether one is signed. "Verified" means: every object that was asked for is
// covered by a good signature of a key that counts, at least one was asked for, and no signature by such a
// key is wrong. Everything else, an empty answer too, is a failure (CVE-2020-13845, -13846, -13847).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "imagestore/sif/edit.h"
#include "imagestore/trust/signer.h"

namespace slipway::trust {

// One signature object for each group; no groups named: all there are. Returns the new objects' ids.
Result<std::vector<std::uint32_t>> Sign(sif::Editor& editor, Signer& signer,
                                        std::vector<std::uint32_t> groups = {});

struct VerifyOptions {
  bool all = false;                    // every object of the file, in a group or not
  std::optional<std::uint32_t> group;  // only this one; else the one that containers run from, else every one
  // An object whose bytes are written to the empty file `fd`, and compared with the signatures there: what a
  // good one covers is what was written. Nothing is written when no signature speaks of it. `unread`: SHA-256
  // of it is left to whoever takes the copy, who must find VerifyReport::copy_digest.
  struct Copy {
    std::uint32_t object = 0;
    int fd = -1;
    bool unread = false;
  };
  std::optional<Copy> copy;
};

struct SignatureReport {
  std::uint32_t object = 0, group = 0;
  std::string kind;  // "pgp", "dsse", "legacy", "unknown"
  Checked checked;
  std::vector<std::uint32_t> objects;  // that it covers; only when good
};

struct VerifyReport {
  bool verified = false;
  std::string why;          // unless verified: one line
  std::string copy_digest;  // what Copy::unread left to be compared; empty: nothing
  std::vector<std::uint32_t> verified_objects, unverified_objects;  // of those that were asked for
  std::vector<SignatureReport> signatures;                          // of the groups that were asked for
};

// `fd`: the very descriptor that will be run or copied, so that nothing can be put in its place afterwards.
// Any Checker that finds the signature good is enough. An error is of the file or the disk, not of a
// signature.
Result<VerifyReport> Verify(int fd, const std::vector<std::unique_ptr<Checker>>& checkers,
                            const VerifyOptions& options = {});

}  // namespace slipway::trust
