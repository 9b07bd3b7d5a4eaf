// SPDX-License-Identifier: Apache-2.0
// A setting is declared once, with type, unit, default, range and words; reading, `slipway config check|show`
// and docs/reference/config.md all come from that declaration. Files are TOML: /etc/slipway/slipway.toml,
// then conf.d/*.toml in name order, the later winning. An unknown key is an error with file, line and column
// and the nearest known name.
//
//   static const Settings kSettings = {{
//     {.key = "controller.port", .type = Setting::kInteger, .fallback = "6821", .low = 1, .high = 65535, .doc
//     = "…"},
//   }};
//   Config config = TRY(Config::Load(kSettings, {"/etc/slipway/slipway.toml"}));
//   config.Integer("controller.port");
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway {

struct Setting {
  enum Type { kString, kInteger, kBool, kBytes, kDuration, kStringList };
  std::string key;  // "table.name"
  Type type = kString;
  std::string fallback;                    // as it would be written in the file; lists comma-separated
  std::int64_t low = 0, high = INT64_MAX;  // kInteger, kBytes (bytes), kDuration (seconds)
  std::string doc;                         // a sentence, with the unit
};
using Settings = std::vector<Setting>;

class Config {
 public:
  // Files that do not exist are skipped; a file that cannot be read or parsed fails the whole load.
  static Result<Config> Load(const Settings& settings, const std::vector<std::string>& files);
  static Result<Config> Parse(const Settings& settings, std::string_view toml, std::string_view file_name);

  // The key must have been declared with that type: anything else is our own mistake (CHECK).
  const std::string& String(std::string_view key) const;
  std::int64_t Integer(std::string_view key) const;
  bool Bool(std::string_view key) const;
  std::uint64_t Bytes(std::string_view key) const;
  std::chrono::seconds Seconds(std::string_view key) const;
  std::vector<std::string> List(std::string_view key) const;
  // Where the value in force came from: "file:line:column", or "default".
  const std::string& Origin(std::string_view key) const;

  // One line a setting: value, origin.
  std::string Show() const;

 private:
  struct Value {
    Setting::Type type;
    std::string text;  // canonical
    std::string origin;
  };
  const Value& Find(std::string_view key, Setting::Type type) const;
  Result<> Merge(std::string_view toml, std::string_view file_name);
  Result<> SetDefaults(const Settings& settings);
  std::map<std::string, Value, std::less<>> values_;
  std::map<std::string, Setting, std::less<>> declared_;
};

// docs/reference/config.md, from the declarations.
std::string SettingsReference(const Settings& settings);

}  // namespace slipway
