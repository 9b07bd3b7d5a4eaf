// SPDX-License-Identifier: Apache-2.0
// From "vendor.com/class=name" to what the container gets, by the node's CDI files.
#pragma once

#include <iterator>
#include <string>
#include <vector>

#include "hooks/edits/edits.h"
#include "hooks/edits/folders.h"

namespace slipway {

// In the order of precedence: a device of a later folder replaces its namesake of an earlier one.
inline const std::vector<std::string> kCdiFolders(std::begin(kCdiFolderNames), std::end(kCdiFolderNames));

struct CdiAnswer {
  ContainerEdits edits;
  std::vector<std::string> warnings;  // files that could not be read and were not needed
};

// All of `names`; NAME "all" is every device of its kind, unless one is called so. Two files of one folder
// that both define a wanted device are an error that names both. kNotFound says where was looked and which
// files were no use. Device nodes must be there and be device nodes. Hooks of NVIDIA's that only make links
// and a loader's cache are taken as declarations (declared_hooks.h).
Result<CdiAnswer> ResolveDevices(const std::vector<std::string>& names,
                                 const std::vector<std::string>& folders = kCdiFolders);

// The names of all devices of a kind ("nvidia.com/gpu"); none when no file of the site speaks of it.
Result<std::vector<std::string>> DevicesOfKind(const std::string& kind,
                                               const std::vector<std::string>& folders = kCdiFolders);

}  // namespace slipway
