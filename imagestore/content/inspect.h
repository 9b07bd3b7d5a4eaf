// SPDX-License-Identifier: Apache-2.0
// Reads what is inside out of a squashfs. The parsers under it were written for files that nobody made on
// purpose: for slipway-import behind its walls, or a user's own process.
#pragma once

#include "imagestore/content/content.h"
#include "imagestore/squashfs/reader.h"

namespace slipway::content {

// What could not be read is a note, not an error: an image without packages is one, too. An error is of the
// file system as a whole (it is damaged, or beyond `limits`).
Result<Content> InspectImage(const squashfs::Window& window, const squashfs::Limits& limits = {});

}  // namespace slipway::content
