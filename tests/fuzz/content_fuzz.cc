// SPDX-License-Identifier: Apache-2.0
// What slipway-import tells slipwayd: it had the image in its hands and may have been taken over.
#include <cstdint>

#include "imagestore/content/content.h"
#include "imagestore/content/sbom.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  auto content = content::DecodeContent({reinterpret_cast<const char*>(data), size});
  if (!content) return 0;
  CHECK(content::EncodeContent(*content) ==
        content::EncodeContent(*content::DecodeContent(content::EncodeContent(*content))));
  content::SbomSubject subject{"x", "sha256:" + std::string(64, 'a'), 0};
  CHECK(!content::SpdxJson(*content, subject).empty());
  CHECK(!content::CycloneDxJson(*content, subject).empty());
  return 0;
}
