// SPDX-License-Identifier: Apache-2.0
// nvidia-ctk writes its CDI specification as YAML. It is read into the same value as JSON, so that one
// decoder serves both, and only as much of YAML as such a file is: no anchors (a few lines of them can stand
// for gigabytes), no tags, one document.
//
// Pure; any thread.
#pragma once

#include "base/json/strict.h"

namespace slipway {

// Plain scalars are null, true, false and whole numbers where they read so, text otherwise ("0.5.0" is text).
// kInvalidArgument says line and column.
Result<Json> ParseYaml(std::string_view text, std::size_t bytes_max);

}  // namespace slipway
