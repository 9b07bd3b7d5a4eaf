// SPDX-License-Identifier: Apache-2.0
// Apart from crypto.cc: programs that only look at digests need no libcrypto.
#include <algorithm>

#include "base/crypto/crypto.h"

namespace slipway {

bool IsDigest(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  if (text.size() != kPrefix.size() + 64 || !text.starts_with(kPrefix)) return false;
  text.remove_prefix(kPrefix.size());
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace slipway
