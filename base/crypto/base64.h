// SPDX-License-Identifier: Apache-2.0
// Signatures and passwords travel in texts as base64 (RFC 4648, section 4) with its padding.
#pragma once

#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway {

std::string Base64(std::string_view bytes);
// kInvalidArgument for anything but whole groups of four without blanks.
Result<std::string> Unbase64(std::string_view text);

}  // namespace slipway
