// SPDX-License-Identifier: Apache-2.0
#include "base/os/link.h"

#include <unistd.h>

#include <climits>

namespace slipway {

Result<std::string> ReadLink(const std::string& path) {
  char text[PATH_MAX];
  ssize_t n = ::readlink(path.c_str(), text, sizeof text);
  if (n == sizeof text) errno = ENAMETOOLONG;
  if (n < 0 || n == sizeof text) return ErrnoFail("readlink", path);
  return std::string(text, static_cast<std::size_t>(n));
}

}  // namespace slipway
