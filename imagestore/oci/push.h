// SPDX-License-Identifier: Apache-2.0
// A SIF into a registry: as it is (oras://), or its root file system as an OCI image of one layer
// (docker://).
#pragma once

#include <string>

#include "imagestore/oci/registry.h"

namespace slipway::oci {

struct PushOptions {
  RegistryOptions registry;
  std::string cache_folder;  // for the layer's unnamed file; empty: the user's
};
// Returns the manifest's digest. `reference` is docker:// or oras:// with a tag.
Result<std::string> Push(const std::string& path, const Reference& reference, const PushOptions& options);

}  // namespace slipway::oci
