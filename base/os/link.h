// SPDX-License-Identifier: Apache-2.0
// readlink(2) ends nothing with a zero and cuts what is too long without a word; this says all or why not.
#pragma once

#include <string>

#include "base/result/result.h"

namespace slipway {

Result<std::string> ReadLink(const std::string& path);

}  // namespace slipway
