// SPDX-License-Identifier: Apache-2.0
// The record of who signed an image: written by a process that looked at a stranger's file, read as root.
#include <cstdint>

#include "launcher/spec/image_signers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  auto signers = ParseSigners({reinterpret_cast<const char*>(data), size});
  if (!signers) return 0;
  CHECK(signers->size() <= kSignersMax);
  for (const ImageSigner& one : *signers) CHECK(!one.key.empty());
  auto again = ParseSigners(SignersText(MergeSigners({}, *signers)));
  CHECK(again && *again == MergeSigners({}, *signers));
  return 0;
}
