// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/host_files.h"

#include <glob.h>

namespace slipway::build {

Result<std::vector<std::string>> HostFiles(const std::string& pattern) {
  glob_t found{};
  int code = ::glob(pattern.c_str(), GLOB_BRACE | GLOB_TILDE, nullptr, &found);
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + (code == 0 ? found.gl_pathc : 0));
  ::globfree(&found);
  if (paths.empty()) return Fail(Code::kNotFound, "%files: no such file: ", pattern);
  return paths;
}

}  // namespace slipway::build
