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
//
// What there may be several of is a column of a repeated table ([[partition]] in the file), declared as
// "partition[].name"; all rows of all files count, in order.
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
  std::string key;  // "table.name", or "table[].column"
  Type type = kString;
  std::string fallback;                    // as it would be written in the file; lists comma-separated
  std::int64_t low = 0, high = INT64_MAX;  // kInteger, kBytes (bytes), kDuration (seconds)
  std::string doc;                         // a sentence, with the unit
};
using Settings = std::vector<Setting>;

class Config {
 private:
  struct Value {
    Setting::Type type = Setting::kString;
    std::string text;  // canonical
    std::string origin;
  };

 public:
  // One row of a repeated table. The column must have been declared with that type (CHECK); one that is not
  // in the file has its fallback.
  class Row {
   public:
    const std::string& String(std::string_view column) const;
    std::int64_t Integer(std::string_view column) const;
    bool Bool(std::string_view column) const;
    std::chrono::seconds Seconds(std::string_view column) const;
    std::vector<std::string> List(std::string_view column) const;
    bool Has(std::string_view column) const;  // it is in the file
    // "file:line:column": of the value, or of the row itself.
    const std::string& Origin(std::string_view column = {}) const;

   private:
    friend class Config;
    const Value& Find(std::string_view column, Setting::Type type) const;
    std::map<std::string, Value, std::less<>> values_;
    std::string origin_;
  };

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
  const std::vector<Row>& Rows(std::string_view table) const;
  // Where the value in force came from: "file:line:column", or "default".
  const std::string& Origin(std::string_view key) const;

  // One line a setting: value, origin.
  std::string Show() const;

 private:
  const Value& Find(std::string_view key, Setting::Type type) const;
  Result<> Merge(std::string_view toml, std::string_view file_name);
  Result<> SetDefaults(const Settings& settings);
  std::map<std::string, Value, std::less<>> values_;
  std::map<std::string, Setting, std::less<>> declared_;
  std::map<std::string, std::vector<Row>, std::less<>> rows_;
};

// docs/reference/config.md, from the declarations.
std::string SettingsReference(const Settings& settings);

}  // namespace slipway
