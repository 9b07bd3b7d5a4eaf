// SPDX-License-Identifier: Apache-2.0
// A user's own image is not for the kernel to parse: squashfuse serves it, as a process of the user inside
// the container's namespaces, started by us so that it ends with them.
#pragma once

#include <sys/types.h>

#include "base/os/fd.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {

struct FuseImage {
  UniqueFd mount;        // detached, read-only
  UniqueFd stderr_pipe;  // what the server had to say, non-blocking
  pid_t server = -1;
};
// `image_fd`: the file. Called with privilege inside our user namespace; the server is started without any.
// The file system answers as soon as the server does: the first look-up waits for it.
Result<FuseImage> ServeImage(const ImageSource& image, int image_fd);

// "<message>: <what the server said>" for an error met while the image was looked into.
Error WithServersWords(Error error, const FuseImage& image);

}  // namespace slipway
