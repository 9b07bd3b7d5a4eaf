// SPDX-License-Identifier: Apache-2.0
// The small front links no JSON library; writing it takes this much.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace slipway::cli {

// A JSON string with its quotes. Bytes above 0x7f pass: they are UTF-8, or were not when they were typed.
inline std::string JsonString(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace slipway::cli
