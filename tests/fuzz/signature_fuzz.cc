// SPDX-License-Identifier: Apache-2.0
// A signature block is read before anybody knows whether it is good.
#include <cstdint>

#include "imagestore/trust/dsse.h"
#include "imagestore/trust/integrity.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto metadata = trust::ParseMetadata(text)) {
    auto again = trust::ParseMetadata(trust::MetadataJson(*metadata));
    CHECK(again && again->objects.size() == metadata->objects.size());
  }
  if (auto envelope = trust::ParseDsse(text)) {
    CHECK(!envelope->signatures.empty() && envelope->signatures.size() <= 64);
    (void)trust::ParseMetadata(envelope->payload);
  }
  return 0;
}
