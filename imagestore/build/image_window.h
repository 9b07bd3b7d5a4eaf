// SPDX-License-Identifier: Apache-2.0
// A user's image file is a SIF or a bare squashfs; both come down to a range of bytes that holds a squashfs.
#pragma once

#include <optional>

#include "base/result/result.h"
#include "imagestore/sif/sif.h"
#include "imagestore/squashfs/pack.h"

namespace slipway::build {

struct ImageWindow {
  squashfs::Window squashfs;      // borrows the fd
  std::optional<sif::Image> sif;  // nothing: a bare squashfs
  std::uint64_t file_size = 0;
};
// kInvalidArgument when `fd` holds neither.
Result<ImageWindow> FindImage(int fd);

}  // namespace slipway::build
