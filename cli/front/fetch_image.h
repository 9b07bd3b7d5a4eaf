// SPDX-License-Identifier: Apache-2.0
// `slipway exec docker://…`: the image is brought into the user's cache by slipway-images, which may talk to
// networks, and run from there like any other file.
#pragma once

#include <string>

#include "base/result/result.h"

namespace slipway::cli {

// docker://, oras://, http(s)://, oci:, oci-archive:, docker-archive:, and any other "scheme://", which
// slipway-images refuses in its own words.
bool IsImageAddress(const std::string& image);
// The path of the SIF in the cache. What slipway-images says of progress and failure is on stderr.
Result<std::string> FetchImage(const std::string& address);

}  // namespace slipway::cli
