// SPDX-License-Identifier: Apache-2.0
// `--image` takes a file, a directory or a catalogue name, and must never guess: "base/debian:12" is a name
// even though it has a slash, unless such a file is there.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace slipway::cli {

enum class ImageKind { kName, kFile, kDirectory, kMissingPath };
enum class PathKind { kNone, kFile, kDirectory };

// What begins with "/", "./", "../" or "~/" is meant as a path; so is what exists as one. Digests are names.
ImageKind KindOfImage(std::string_view text, const std::function<PathKind(const std::string&)>& look);

}  // namespace slipway::cli
