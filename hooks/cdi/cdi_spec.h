// SPDX-License-Identifier: Apache-2.0
// One file of the Container Device Interface: which devices a vendor offers on this node, and what each needs
// of a container.
//
// Pure; any thread. Source: CDI SPEC.md, versions 0.3.0 to 1.1.0.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "hooks/edits/edits.h"

namespace slipway {

struct CdiDevice {
  std::string name;
  ContainerEdits edits;
};
struct CdiSpec {
  std::string version, kind;  // "0.6.0", "vendor.com/class"
  ContainerEdits edits;       // of every device of the file
  std::vector<CdiDevice> devices;
};

inline constexpr std::size_t kCdiBytesMax = 4 << 20;

// Unknown fields are errors, as the specification demands, and so are fields that its version did not have.
// What no unprivileged runtime can do (intelRdt, netDevices) is kUnimplemented with the reason.
Result<CdiSpec> ParseCdi(std::string_view text, bool yaml);

// "vendor.com/class=name"
struct CdiName {
  std::string kind, device;
};
Result<CdiName> ParseCdiName(std::string_view text);

}  // namespace slipway
