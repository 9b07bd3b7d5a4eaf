// SPDX-License-Identifier: Apache-2.0
// The databases of package managers, each from its bytes. They come from the image: whatever they hold, the
// answer is a list of at most kPackagesMax packages, and what makes no sense is left out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "imagestore/content/content.h"

namespace slipway::content {

std::vector<Package> DpkgPackages(std::string_view status);    // var/lib/dpkg/status or a file of status.d
std::vector<Package> ApkPackages(std::string_view installed);  // lib/apk/db/installed
// var/lib/rpm/rpmdb.sqlite. kInvalidArgument when it is no such database.
Result<std::vector<Package>> RpmPackages(std::string database);
// One package header of rpm's database: an index of tags and a store that they point into.
Result<Package> RpmHeader(std::string_view header);
// "numpy-1.24.2.dist-info" or ".egg-info" → numpy 1.24.2; empty when it is neither.
std::vector<Package> PipPackage(std::string_view folder_name);
// "numpy-1.24.2-py311h64a7726_0.json" of conda-meta → numpy 1.24.2; empty when it is none.
std::vector<Package> CondaPackage(std::string_view file_name);

}  // namespace slipway::content
