// SPDX-License-Identifier: Apache-2.0
// Package databases come from inside a stranger's image.
#include <cstdint>

#include "imagestore/content/packages.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  content::Content content;
  for (auto parse :
       {content::DpkgPackages, content::ApkPackages, content::PipPackage, content::CondaPackage}) {
    for (content::Package& one : parse(text)) {
      CHECK(!one.name.empty());
      content.packages.push_back(std::move(one));
    }
  }
  if (auto header = content::RpmHeader(text)) content.packages.push_back(std::move(*header));
  // What was found can be told, whatever it was.
  CHECK(content::DecodeContent(content::EncodeContent(content)).has_value());
  return 0;
}
