// SPDX-License-Identifier: Apache-2.0
// Where an image's first files come from: Debian's packages through mmdebstrap, or an image that is there
// already.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "base/result/result.h"
#include "imagestore/build/deffile.h"
#include "imagestore/build/runner.h"

namespace slipway::build {

// mmdebstrap's command line for the new directory `target`: suite, packages, where they come from.
Result<std::vector<std::string>> DebootstrapWords(const Recipe& recipe, const std::string& target);
// Installs into the new directory `target`; as root, of the machine or of a user namespace. kNotFound with
// the package to install when mmdebstrap is missing.
Result<> Debootstrap(const Recipe& recipe, const std::string& target, const RunOptions& run);
// The SIF or squashfs `from` into the empty directory `root`.
Result<> UnpackLocalImage(const std::string& from, const std::string& root,
                          const std::atomic<bool>* cancelled);

}  // namespace slipway::build
