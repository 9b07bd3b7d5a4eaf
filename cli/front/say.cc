// SPDX-License-Identifier: Apache-2.0
#include "cli/front/say.h"

#include <cstdio>

#include "base/text/text.h"

namespace slipway::cli {

void Say(std::string_view message) {
  std::fprintf(stderr, "%s%s\n",
               message.starts_with("slipway") ? "" : "slipway: ", Printable(message).c_str());
}

}  // namespace slipway::cli
