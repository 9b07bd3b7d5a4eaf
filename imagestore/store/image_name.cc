// SPDX-License-Identifier: Apache-2.0
#include "imagestore/store/image_name.h"

#include <algorithm>

#include "base/crypto/crypto.h"

namespace slipway::store {
namespace {

bool IsPart(std::string_view part, bool capitals) {
  auto is_letter_or_digit = [capitals](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (capitals && c >= 'A' && c <= 'Z');
  };
  return !part.empty() && part.size() <= 63 && is_letter_or_digit(part.front()) &&
         std::all_of(part.begin(), part.end(),
                     [&](char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

}  // namespace

std::string ImageName::Text() const { return Cat(project, "/", name, ":", tag); }

Result<ImageName> ParseImageName(std::string_view text) {
  ImageName image;
  std::string_view rest = text;
  if (std::size_t at = rest.find('@'); at != std::string_view::npos) {
    image.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!IsDigest(image.digest))
      return Fail(Code::kInvalidArgument, "image \"", text.substr(0, 200),
                  "\": after \"@\" must stand sha256: and 64 hex digits");
  }
  image.project = "library";
  if (std::size_t slash = rest.find('/'); slash != std::string_view::npos) {
    image.project = rest.substr(0, slash);
    rest = rest.substr(slash + 1);
  }
  std::size_t colon = rest.find(':');
  image.tag = colon == std::string_view::npos ? "latest" : rest.substr(colon + 1);
  image.name = rest.substr(0, colon);
  if (IsPart(image.project, false) && IsPart(image.name, false) && IsPart(image.tag, true)) return image;
  return Fail(Code::kInvalidArgument, "\"", text.substr(0, 200),
              "\" is no image name; one looks like project/name:tag, in lower case letters, digits, \".\", "
              "\"_\" and \"-\"");
}

}  // namespace slipway::store
