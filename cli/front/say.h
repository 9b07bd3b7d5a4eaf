// SPDX-License-Identifier: Apache-2.0
// What the front says on stderr: one line each, whatever the caller's words and the image's that are in it.
#pragma once

#include <string_view>

namespace slipway::cli {

void Say(std::string_view message);

// For what is no error: nothing after BeQuiet().
void SayUnlessQuiet(std::string_view message);
void BeQuiet();

}  // namespace slipway::cli
