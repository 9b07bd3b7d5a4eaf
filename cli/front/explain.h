// SPDX-License-Identifier: Apache-2.0
// --explain: how the container was made, for whoever wonders what is mounted where, who he is inside, or why
// it takes that long.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "launcher/client/image_file.h"
#include "launcher/client/way.h"
#include "launcher/spec/init_protocol.h"
#include "launcher/spec/launch_spec.h"

namespace slipway::cli {

// Lines for stderr. `image` and `spec` as they were asked for, `ready` as it came out. `caller_variables`:
// how many the caller's environment has.
std::string Explained(const Entered& entered, const ImageFile& image, const LaunchSpec& spec,
                      const InitReady& ready, std::size_t caller_variables);

}  // namespace slipway::cli
