// SPDX-License-Identifier: Apache-2.0
// A recipe's {{ NAME }}: what it stands for comes from the caller or from the recipe's own %arguments.
#include <algorithm>
#include <set>

#include "base/text/text.h"
#include "imagestore/build/deffile.h"

namespace slipway::build {

namespace {

constexpr std::size_t kFilledMax = 8 << 20;

bool IsName(std::string_view text) {
  return !text.empty() &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
             std::string_view::npos;
}

// The lines of %arguments, as NAME=VALUE.
Arguments Defaults(std::string_view text) {
  Arguments defaults;
  bool inside = false;
  for (const std::string& raw : Split(text, '\n')) {
    std::string_view line = Trim(raw);
    if (raw.starts_with('%')) {
      inside = line.starts_with("%arguments");
      continue;
    }
    std::size_t equals = line.find('=');
    if (!inside || line.starts_with('#') || equals == std::string_view::npos) continue;
    std::string name(Trim(line.substr(0, equals)));
    if (IsName(name)) defaults.try_emplace(name, Trim(line.substr(equals + 1)));
  }
  return defaults;
}

}  // namespace

Result<std::string> FillIn(std::string_view text, std::string_view name, const Arguments& given) {
  Arguments values = given;
  for (auto& [key, value] : Defaults(text)) values.try_emplace(key, value);
  std::string out;
  std::set<std::string> used;
  std::size_t at = 0;
  for (;;) {
    std::size_t open = text.find("{{", at);
    std::size_t close = open == std::string_view::npos ? open : text.find("}}", open);
    if (close == std::string_view::npos) break;
    std::string key(Trim(text.substr(open + 2, close - open - 2)));
    if (!IsName(key)) {  // somebody else's braces
      out += text.substr(at, open + 2 - at);
      at = open + 2;
      continue;
    }
    auto value = values.find(key);
    if (value == values.end()) {
      auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(open), '\n');
      return Fail(Code::kInvalidArgument, std::string(name), ":", line, ": {{ ", key,
                  " }} stands for nothing; give it with --build-arg ", key, "=… or in %arguments");
    }
    out += text.substr(at, open - at);
    out += value->second;
    used.insert(key);
    at = close + 2;
    if (out.size() > kFilledMax)
      return Fail(Code::kOutOfRange, std::string(name), ": grows beyond ", kFilledMax, " bytes");
  }
  out += text.substr(at);
  for (auto& [key, value] : given) {
    if (!used.contains(key))
      return Fail(Code::kInvalidArgument, std::string(name), ": has no {{ ", key, " }} for --build-arg ",
                  key);
  }
  return out;
}

}  // namespace slipway::build
