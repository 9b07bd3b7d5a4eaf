// SPDX-License-Identifier: Apache-2.0
// What a user names as an image may be anything; this says what it is from its first bytes and, where it can
// be run, where the squashfs in it lies. Every number of the file is checked against its size before it is
// believed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

struct ImageFile {
  ImageSource source;  // fd: 0 for a file (the first of the spec's descriptors), -1 for a directory
  UniqueFd file;       // of a SIF or squashfs
  std::string what;    // "SIF", "squashfs", "directory"
  std::string path;    // absolute
  std::vector<ImageSource> overlays;  // a SIF's own, which lie over its system partition; fd: as `source`'s
};

// One line that says what the file is and what would do, when it cannot be run.
Result<ImageFile> OpenImageFile(const std::string& path);

}  // namespace slipway
