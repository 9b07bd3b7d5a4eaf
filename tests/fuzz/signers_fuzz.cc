// SPDX-License-Identifier: Apache-2.0
// The record of who signed an image: written by a process that looked at a stranger's file, read as root.
#include <cstdint>

#include "launcher/spec/image_signers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  constexpr std::string_view kDigest =
      "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  auto signers = ParseSigners({reinterpret_cast<const char*>(data), size}, kDigest);
  if (!signers) return 0;
  CHECK(signers->size() <= kSignersMax);
  for (const ImageSigner& one : *signers) CHECK(!one.key.empty());
  auto again = ParseSigners(SignersText(MergeSigners({}, *signers), kDigest), kDigest);
  CHECK(again && *again == MergeSigners({}, *signers));
  return 0;
}
