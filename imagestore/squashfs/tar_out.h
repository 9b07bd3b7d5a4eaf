// SPDX-License-Identifier: Apache-2.0
// The other way round: a squashfs as a compressed tar, for registries that want layers.
#pragma once

#include <string>

#include "imagestore/squashfs/pack.h"

namespace slipway::squashfs {

// Written to `out_fd` (borrowed) from where it stands. Returns the digest of the uncompressed tar. The
// squashfs may be anybody's: it is read with all checks, within `limits`.
Result<std::string> WriteTarGz(const Window& in, int out_fd, const Limits& limits = {});

}  // namespace slipway::squashfs
