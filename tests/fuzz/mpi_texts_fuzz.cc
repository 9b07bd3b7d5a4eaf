// SPDX-License-Identifier: Apache-2.0
// Libraries of a stranger's image, of which only the texts are looked at.
#include <cstdint>

#include "imagestore/content/mpi_doctor.h"
#include "imagestore/content/mpi_library.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto texts = content::TextsOf(bytes);
  std::string name(bytes.substr(0, 80));
  content::Content content{.mpi = {content::DescribeMpi(name, texts)}};
  content.pmix = content::PmixVersion(texts);
  content.libc = content::GlibcVersion(bytes);
  content.cuda = content::BetterVersion(content::VersionOfName(name), content.pmix);
  (void)content::LibraryKindOf(name);
  for (auto asked : {content::WireUp::kAny, content::WireUp::kPmix, content::WireUp::kPmi}) {
    content::MpiVerdict verdict = content::Diagnose(content.mpi[0], asked);
    CHECK(verdict.can == verdict.cure.empty());
    CHECK(verdict.can == !content::WhyNot(content.mpi, asked));
  }
  CHECK(content::DecodeContent(content::EncodeContent(content)).has_value());
  return 0;
}
