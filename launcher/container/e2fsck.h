// SPDX-License-Identifier: Apache-2.0
// fuse2fs writes no journal: an ext3 image whose server was killed, or whose host lost its power, may have
// blocks in use that count as free. Nobody may write to it before that was put right.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway {

// Whether the superblock (1024 bytes or more of it) says that the file system was not closed, has errors, or
// has a journal to be replayed.
bool ExtWantsCheck(std::string_view superblock);

// Has e2fsck repair what it can repair without asking, the journal included, where that is wanted.
// `image_fd`: the file, open for writing. A line for the user when something was to do, else empty; kDataLoss
// when there is damage that somebody must look at: the image is not to be written to then.
Result<std::string> CheckExt(int image_fd);

}  // namespace slipway
