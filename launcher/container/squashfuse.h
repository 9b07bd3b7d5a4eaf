// SPDX-License-Identifier: Apache-2.0
// A user's own squashfs is served by squashfuse, without any privilege.
#pragma once

#include "launcher/container/fuse_server.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

// Whose are the files of an image, which mostly are root's?
enum class ImageOwner {
  kAsMapped,  // what our user namespace makes of the numbers: nobody's, where it maps only the user
  kUser,      // root's are the user's, so that an overlay can copy them up: the file system is made in a user
              // namespace of its own in which he is root. For a namespace that maps only him.
  kEveryones,  // as mapped, and usable by all ids of our user namespace, not only by the one that mounts
};

// `image_fd`: the file. Called with privilege inside our user namespace; the server is started without any.
Result<FuseImage> ServeSquashfs(const ImageSource& image, int image_fd, ImageOwner owner);

}  // namespace slipway
