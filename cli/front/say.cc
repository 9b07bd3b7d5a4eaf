// SPDX-License-Identifier: Apache-2.0
#include "cli/front/say.h"

#include <cstdio>

#include "base/text/text.h"

namespace slipway::cli {

namespace {
bool quiet = false;
}

void Say(std::string_view message) {
  std::fprintf(stderr, "%s%s\n",
               message.starts_with("slipway") ? "" : "slipway: ", Printable(message).c_str());
}

void SayUnlessQuiet(std::string_view message) {
  if (!quiet) Say(message);
}

void BeQuiet() { quiet = true; }

}  // namespace slipway::cli
