// SPDX-License-Identifier: Apache-2.0
// fuse-overlayfs lays trees over one another where the kernel's overlay cannot: when an ext3 image is written
// to, and when one is read that was written to that way, because what was removed is marked by files
// (".wh.NAME") that only it understands.
#pragma once

#include <string>
#include <vector>

#include "launcher/container/fuse_server.h"

namespace slipway {

struct FuseLayers {
  std::vector<std::string> lowers;  // paths, as the server will see them; the highest first
  std::string upper, work;          // empty: only to be read
  bool everyones = false;  // files of other ids than ours are to be changed as root of the container may
};
// `device`: /dev/fuse, of MountFuseLayers. It opens its folders before it answers for the first time, and
// needs no path afterwards. kFailedPrecondition names the Debian package.
Result<FuseCommand> FuseLayersCommand(const FuseLayers& layers, int device);
// The mount, detached, for whatever will serve `device`.
Result<UniqueFd> MountFuseLayers(int device, std::uint64_t attributes);

// `lowers` (borrowed, attached somewhere; the highest first) merged, to be read. Called with privilege inside
// our user namespace.
Result<FuseImage> ServeMerged(const std::vector<int>& lowers, bool everyones);
bool HasFuseOverlayfs();

}  // namespace slipway
