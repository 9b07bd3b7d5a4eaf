// SPDX-License-Identifier: Apache-2.0
// How people write an image.
#pragma once

#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway::store {

// "project/name:tag", "name:tag" (project "library"), "name" (tag "latest"), each with or without
// "@sha256:…".
struct ImageName {
  std::string project, name, tag;
  std::string digest;        // empty unless the reference pins one
  std::string Text() const;  // "project/name:tag", without the digest
};
// Parts are 1–63 of [a-z0-9._-] (tags may have capitals, too) and begin with a letter or digit.
Result<ImageName> ParseImageName(std::string_view text);

}  // namespace slipway::store
