// SPDX-License-Identifier: Apache-2.0
// --overlay, --writable and --writable-tmpfs: what becomes of the image where somebody wants to change it.
#pragma once

#include <string>
#include <vector>

#include "launcher/client/image_file.h"
#include "launcher/client/spec_files.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

struct WriteOptions {
  std::vector<std::string> overlays;  // --overlay, "PATH[:ro|rw]" and comma lists of such, as given
  bool in_place = false;              // --writable
  bool tmpfs = false;                 // --writable-tmpfs
  std::string tmpfs_size;             // bytes, with k, m, g or % as tmpfs(5) has it; empty: half of memory
};

// Fills in `spec`'s image-related fields. Descriptor 0 of the spec is the image's file, if it has one; others
// are added to `files`. Every refusal names the option and the one that would do.
Result<> SetWriting(const ImageFile& image, const WriteOptions& options, SpecFiles& files, LaunchSpec& spec);

// Whether what a container writes into the image itself is to succeed, in a layer above it.
bool ChangesImage(const WriteOptions& options);

// Not empty: why only a user namespace of the user's own can have these overlays (for WayRequest). What
// cannot be opened is SetWriting's to refuse.
std::string WhyOwnNamespace(const ImageFile& image, const WriteOptions& options);

}  // namespace slipway
