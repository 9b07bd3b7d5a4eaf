// SPDX-License-Identifier: Apache-2.0
// What the admin lets a container be, whoever's it is. The half of the launcher that made the container's
// namespaces hands this to the child by itself; the child, our code in a namespace that its user can neither
// enter nor trace, holds the user's spec against it before it opens anything of his.
//
// In the rootless way the same code holds the same limits, but a user can make such a namespace without us:
// there they are a habit, not a fence (docs/starter-conf.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace slipway {

struct ContainerPolicy {
  // Of a user's own image. Empty: no limit. Owners and groups are ids; paths are folders, absolute.
  std::vector<std::uint32_t> limit_owners, limit_groups;
  std::vector<std::string> limit_paths;
  std::vector<std::string> image_kinds = {"sif", "squashfs", "directory", "store"};
  std::vector<std::string> signed_by;  // fingerprints; not empty: an image must be signed by one of them
  std::vector<std::string> binds;      // "SRC[:DEST[:ro]]", in every container, over the user's own
  std::vector<std::string> forbidden_binds;
  bool user_binds = true;  // false: the usual ones and his own folders at their own place only
  bool overlay = true;     // false: nothing writable is laid over an image
  std::uint64_t tmpfs_bytes =
      0;  // of the container's own scratch and writable layer; 0: the kernel's default
  std::vector<std::string> default_capabilities, allowed_capabilities;  // inside the user namespace
};

}  // namespace slipway
