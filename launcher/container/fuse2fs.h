// SPDX-License-Identifier: Apache-2.0
// An ext2/3/4 file system of a user (an overlay image of Apptainer's) is served by fuse2fs.
#pragma once

#include "launcher/container/fuse_server.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

enum class ExtUse {
  kRead,
  kWrite,  // what is written is on the disk once fsync says so or the server has ended, by itself; it
           // outlives us
};

// `image_fd`: the file. Debian's fuse2fs (libfuse 2) mounts by path and by itself: it keeps CAP_SYS_ADMIN of
// our user namespace, so this is for namespaces that are the user's own anyway, and mounts over our view of
// /tmp for a moment, so whatever is wanted from there must have been opened before.
Result<FuseImage> ServeExt(const ImageSource& image, int image_fd, ExtUse use);

}  // namespace slipway
