// SPDX-License-Identifier: Apache-2.0
// What an image has of the things that a driver's libraries must fit: its C library, and a libcuda of its
// own. Read without running or mounting anything.
#pragma once

#include "hooks/edits/request.h"
#include "hooks/gpu/driver_files.h"

namespace slipway {

// Empty fields where the image cannot be read or has none: it is asked for help, not for permission.
ImageLibraries LibrariesOfImage(const GpuWish& wish);

}  // namespace slipway
