// SPDX-License-Identifier: Apache-2.0
#include "base/text/shell.h"

namespace slipway {

std::string ShellQuoted(std::string_view word) {
  std::string out = "'";
  for (char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace slipway
