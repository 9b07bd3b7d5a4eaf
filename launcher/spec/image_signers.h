// SPDX-License-Identifier: Apache-2.0
// Who signed an image of the store. slipway-import verifies signatures, against the site's keys (image_keys
// of starter.conf), in a process of its own that does nothing else; the broker, which alone writes in the
// store, keeps what it found beside the blob. So `signed_by` can be held where nothing is parsed any more.
//
// The document of the blob IMAGE_DIR/sha256-HEX is IMAGE_DIR/sha256-HEX.signers: the store owner's, mode
// 0444, replaced as a whole. Text; the first line is "slipway-signers 1", each further one "KEY NAME":
//   KEY   the fingerprint of a PGP primary key (40 capital hex digits), or "sha256:" and 64 hex digits of a
//   PEM
//         key's DER form (SubjectPublicKeyInfo); as starter.conf's signed_by and `slipway verify` write it
//   NAME  for people, to the end of the line; what the key says of itself
// A key is in it when its good signature covered the partition that this blob was packed from, every object
// of that partition's group was covered, and no key of the site had a wrong signature. No document: nobody is
// known to have signed it.
//
// What slipway-import tells the broker of an image that is kept as it is has the same form, and
// "slipway-signers 1 DIGEST" in the first line: the signatures are of bytes with that digest, and whoever
// takes them over has to compare it, for nobody did. So each byte is digested once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/wire/wire.h"

namespace slipway {

struct ImageSigner {
  std::string key, name;
  bool operator==(const ImageSigner&) const = default;
};
void Fields(auto& archive, IsA<ImageSigner> auto& v) { archive(v.key, v.name); }

inline constexpr std::size_t kSignersMax = 64, kSignersBytesMax = 64 << 10;

// Names lose what would break a line or a terminal. `digest`: see above.
std::string SignersText(const std::vector<ImageSigner>& signers, std::string_view digest = {});
// kDataLoss names the line that is none; kPermissionDenied when they signed other bytes than those of
// `digest`.
Result<std::vector<ImageSigner>> ParseSigners(std::string_view text, std::string_view digest);
// Each key once, the first's name.
std::vector<ImageSigner> MergeSigners(std::vector<ImageSigner> first, const std::vector<ImageSigner>& second);

// "sha256-HEX.signers"; `digest` must be one.
std::string SignersFile(std::string_view digest);
// The signers of the blob `digest` in the store `image_dir`: empty when nobody is known. kDataLoss when the
// document is damaged: then nobody counts.
Result<std::vector<ImageSigner>> SignersOf(const std::string& image_dir, std::string_view digest);
// Their keys alone: what ImageFacts::signed_by of an image of the store is.
Result<std::vector<std::string>> SignedBy(const std::string& image_dir, std::string_view digest);

}  // namespace slipway
