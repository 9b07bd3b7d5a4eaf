// SPDX-License-Identifier: Apache-2.0
// The container's file tree: the image, what must be there besides, and the mounts, put together in the mount
// namespace that we are in. Nothing of the host's tree is changed: our scratch is laid over "/" where only
// descriptors reach it, and goes with the old root.
#pragma once

#include <vector>

#include "base/os/fd.h"
#include "launcher/container/birth.h"
#include "launcher/container/first_process.h"
#include "launcher/container/fuse_server.h"
#include "launcher/container/report.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

struct ContainerTree {
  std::vector<FuseServer> servers;  // of images that are served by FUSE
};

// Builds it and pivots into it: afterwards "/" is the container's and the host's tree is gone. `fds` are
// those of the spec.
Result<ContainerTree> BuildAndEnterTree(const Birth& birth, const LaunchSpec& spec,
                                        const std::vector<UniqueFd>& fds, Brought brought, Report& report);

}  // namespace slipway
