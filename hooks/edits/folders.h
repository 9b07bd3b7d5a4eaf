// SPDX-License-Identifier: Apache-2.0
// Where admins and vendors put the files that change containers. Later folders win over earlier ones.
#pragma once

namespace slipway {

inline constexpr const char* kCdiFolderNames[] = {"/etc/cdi", "/var/run/cdi"};
inline constexpr const char* kHookFolderNames[] = {"/usr/share/containers/oci/hooks.d",
                                                   "/etc/containers/oci/hooks.d"};

}  // namespace slipway
