// SPDX-License-Identifier: Apache-2.0
// starter.conf for its admin: what is wrong with it, shown where it is wrong, and what it says in the end.
#pragma once

#include <string>

#include "base/result/result.h"

namespace slipway::cli {

// Empty when the text is a good starter.conf; else some lines: the mistake, the line it is in with a mark
// below its column, and the key that may have been meant.
std::string ExplainMistake(const std::string& path, const std::string& text);

// Every key and its value, as it would be written; the defaults as comments. The text must be a good one.
Result<std::string> ShowConf(const std::string& text);

}  // namespace slipway::cli
