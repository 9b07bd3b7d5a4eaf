// SPDX-License-Identifier: Apache-2.0
// Where an image's first files come from: Debian's packages through mmdebstrap, or an image that is there
// already.
#pragma once

#include <string>

#include "base/result/result.h"
#include "imagestore/build/deffile.h"
#include "imagestore/build/runner.h"

namespace slipway::build {

// Installs into `target`: as root a new directory, else the name of a tar file (mmdebstrap's unshare mode).
// kNotFound with the package to install when mmdebstrap or, for ordinary users, newuidmap is missing.
Result<> Debootstrap(const Recipe& recipe, const std::string& target, const RunOptions& run);
// Unpacks that tar file, as root of a user namespace.
Result<> ExtractTar(const std::string& tar, const std::string& root, const RunOptions& run);
// The SIF, squashfs or directory `from` into the empty directory `root`.
Result<> UnpackLocalImage(const std::string& from, const std::string& root);

}  // namespace slipway::build
