// SPDX-License-Identifier: Apache-2.0
#include "launcher/hook/state.h"

#include <cstdio>
#include <vector>

namespace slipway {
namespace {

// How many bytes the UTF-8 character at the front takes; 0: it is none.
std::size_t CharacterBytes(std::string_view text) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  std::size_t size = byte(0) < 0x80                      ? 1
                     : byte(0) >= 0xc2 && byte(0) < 0xe0 ? 2
                     : byte(0) < 0xe0                    ? 0
                     : byte(0) < 0xf0                    ? 3
                     : byte(0) < 0xf5                    ? 4
                                                         : 0;
  if (size == 0 || size > text.size()) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  bool overlong = (byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xf0 && byte(1) < 0x90);
  bool surrogate = byte(0) == 0xed && byte(1) > 0x9f;
  bool beyond = byte(0) == 0xf4 && byte(1) > 0x8f;
  return overlong || surrogate || beyond ? 0 : size;
}

std::string List(const std::vector<std::string>& texts) {
  std::string list = "[";
  for (const std::string& text : texts) list += Cat(list.size() > 1 ? "," : "", JsonQuoted(text));
  return list + "]";
}

}  // namespace

std::string JsonQuoted(std::string_view text) {
  std::string quoted = "\"";
  while (!text.empty()) {
    char c = text[0];
    std::size_t size = CharacterBytes(text);
    if (size == 0) {
      quoted += "\\ufffd";
      size = 1;
    } else if (c == '"' || c == '\\') {
      quoted += Cat('\\', c);
    } else if (static_cast<unsigned char>(c) < ' ') {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
      quoted += escaped;
    } else {
      quoted += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  return quoted + "\"";
}

std::string StateJson(const HookState& state) {
  std::string json = Cat(R"({"ociVersion":"1.0.2","id":)", JsonQuoted(state.id), R"(,"status":)",
                         JsonQuoted(state.status), R"(,"bundle":)", JsonQuoted(state.bundle));
  if (state.pid > 0) json += Cat(R"(,"pid":)", state.pid);
  return json + R"(,"annotations":{}})";
}

std::string BundleConfig(const LaunchSpec& spec, std::string_view root_path) {
  return Cat(R"({"ociVersion":"1.0.2","root":{"path":)", JsonQuoted(root_path), R"(,"readonly":)",
             spec.writable_tmpfs ? "false" : "true", R"(},"process":{"args":)", List(spec.argv), R"(,"env":)",
             List(spec.env), R"(,"cwd":)", JsonQuoted(spec.cwd.empty() ? "/" : spec.cwd),
             R"(,"noNewPrivileges":true},"hostname":)", JsonQuoted(spec.hostname), R"(,"annotations":{}})");
}

}  // namespace slipway
