// SPDX-License-Identifier: Apache-2.0
// TOML is parsed in this file and in imagestore/oci/mirrors.cc: the parser is a large header, and it is built
// without exceptions here.
#include "base/config/config.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>

#include "base/os/fd.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway {
namespace {

constexpr char kDefaultOrigin[] = "default";

Result<std::string> InRange(const Setting& setting, std::int64_t number) {
  if (number < setting.low || number > setting.high) {
    return Fail(Code::kInvalidArgument, setting.key, " = ", number, " is not between ", setting.low, " and ",
                setting.high);
  }
  return std::to_string(number);
}

// From text, as in a quoted value or a fallback, to the canonical text: numbers in bytes or seconds.
Result<std::string> Canonical(const Setting& setting, const std::string& text) {
  switch (setting.type) {
    case Setting::kString:
    case Setting::kStringList:
      return text;
    case Setting::kBool:
      if (text == "true" || text == "false") return text;
      return Fail(Code::kInvalidArgument, setting.key, ": \"", text, "\" is neither true nor false");
    case Setting::kInteger: {
      auto number = ParseNumber(text, 0, INT64_MAX);
      if (!number) return Failure(std::move(number).error().Context(setting.key));
      return InRange(setting, static_cast<std::int64_t>(*number));
    }
    case Setting::kBytes: {
      auto bytes = ParseBytes(text);
      if (!bytes) return Failure(std::move(bytes).error().Context(setting.key));
      return InRange(setting, static_cast<std::int64_t>(std::min<std::uint64_t>(*bytes, INT64_MAX)));
    }
    case Setting::kDuration: {
      // A bare number means minutes to Slurm's users and seconds to everybody else: it has to say.
      if (text.find_first_not_of("0123456789") == std::string::npos) {
        return Fail(Code::kInvalidArgument, setting.key, ": \"", text, "\" has no unit: write \"", text,
                    "s\" or \"", text, "m\"");
      }
      auto limit = ParseTimeLimit(text);
      if (!limit) return Failure(std::move(limit).error().Context(setting.key));
      return InRange(setting, limit->count());
    }
  }
  return Fail(Code::kInternal, setting.key, " has no type");
}

std::string_view TypeName(Setting::Type type) {
  switch (type) {
    case Setting::kString:
      return "a string";
    case Setting::kInteger:
      return "a whole number";
    case Setting::kBool:
      return "true or false";
    case Setting::kBytes:
      return "a size (\"2G\", or a number of bytes)";
    case Setting::kDuration:
      return "a duration (\"90s\", or a number of seconds)";
    case Setting::kStringList:
      return "a list of strings";
  }
  return "a value";
}

Result<std::string> FromNode(const Setting& setting, const toml::node& node) {
  const Setting::Type type = setting.type;
  bool takes_number = type == Setting::kInteger || type == Setting::kBytes || type == Setting::kDuration;
  bool takes_text = type == Setting::kString || type == Setting::kBytes || type == Setting::kDuration;
  if (auto number = node.as_integer(); number != nullptr && takes_number)
    return InRange(setting, number->get());
  if (auto boolean = node.as_boolean(); boolean != nullptr && type == Setting::kBool)
    return std::string(boolean->get() ? "true" : "false");
  if (auto text = node.as_string(); text != nullptr && takes_text) return Canonical(setting, text->get());
  if (auto array = node.as_array(); array != nullptr && type == Setting::kStringList) {
    std::vector<std::string> items;
    for (const toml::node& item : *array) {
      auto text = item.as_string();
      if (text == nullptr) return Fail(Code::kInvalidArgument, setting.key, ": every item must be a string");
      if (text->get().find(',') != std::string::npos)
        return Fail(Code::kInvalidArgument, setting.key, ": an item may not contain a comma");
      items.push_back(text->get());
    }
    return Join(items, ",");
  }
  return Fail(Code::kInvalidArgument, setting.key, " must be ", TypeName(type));
}

std::string Place(std::string_view file, const toml::source_region& region) {
  return Cat(file, ":", region.begin.line, ":", region.begin.column);
}

std::string Suggestion(const std::string& word, const std::vector<std::string>& known) {
  std::string nearest = NearestWord(word, known);
  return nearest.empty() ? std::string() : Cat("; did you mean \"", nearest, "\"?");
}

struct FoundValue {
  std::string key, text, origin;
};
struct FoundRow {
  std::string table, origin;
  std::vector<FoundValue> values;  // by column
};
struct FoundAll {
  std::vector<FoundValue> values;
  std::vector<FoundRow> rows;
};
using Declared = std::map<std::string, Setting, std::less<>>;

Failure UnknownKey(const Declared& declared, const std::string& place, const std::string& name) {
  std::vector<std::string> keys;
  for (const auto& [known, unused] : declared) keys.push_back(known);
  return Fail(Code::kInvalidArgument, place, ": unknown key \"", name, "\"", Suggestion(name, keys));
}

// [[name]]: each table is a row.
Result<> CollectRows(const Declared& declared, const toml::array& tables, const std::string& name,
                     std::string_view file, FoundAll& found) {
  for (const toml::node& item : tables) {
    const toml::table& table = *item.as_table();
    FoundRow& row = found.rows.emplace_back(FoundRow{name, Place(file, table.source()), {}});
    for (auto&& [key, node] : table) {
      std::string place = Place(file, key.source());
      auto setting = declared.find(Cat(name, "[].", key.str()));
      if (setting == declared.end()) return UnknownKey(declared, place, Cat(name, "[].", key.str()));
      row.values.push_back(
          {std::string(key.str()), TRY_CONTEXT(FromNode(setting->second, node), place), place});
    }
  }
  return {};
}

bool IsDeclared(const Declared& declared, const std::string& prefix) {
  auto first = declared.lower_bound(prefix);
  return first != declared.end() && first->first.starts_with(prefix);
}

// Reads one table of the file into `found`; `prefix` is its dotted name with the dot.
Result<> Collect(const Declared& declared, const toml::table& table, const std::string& prefix,
                 std::string_view file, FoundAll& found) {
  for (auto&& [key, node] : table) {
    std::string name = prefix + std::string(key.str());
    std::string place = Place(file, key.source());
    if (const toml::table* inner = node.as_table()) {
      if (IsDeclared(declared, name + "[]."))
        return Fail(Code::kInvalidArgument, place, ": there may be several of them: write [[", name, "]]");
      if (!IsDeclared(declared, name + ".")) {
        std::vector<std::string> tables;
        for (const auto& [known, setting] : declared) tables.push_back(known.substr(0, known.rfind('.')));
        return Fail(Code::kInvalidArgument, place, ": unknown table [", name, "]", Suggestion(name, tables));
      }
      TRY(Collect(declared, *inner, name + ".", file, found));
      continue;
    }
    if (const toml::array* tables = node.as_array(); tables != nullptr && tables->is_array_of_tables()) {
      if (!IsDeclared(declared, name + "[].")) return UnknownKey(declared, place, name);
      TRY(CollectRows(declared, *tables, name, file, found));
      continue;
    }
    auto setting = declared.find(name);
    if (setting == declared.end()) return UnknownKey(declared, place, name);
    std::string text = TRY_CONTEXT(FromNode(setting->second, node), place);
    found.values.push_back({name, std::move(text), place});
  }
  return {};
}

}  // namespace

Result<> Config::SetDefaults(const Settings& settings) {
  for (const Setting& setting : settings) {
    CHECK(declared_.emplace(setting.key, setting).second);  // declared twice
    std::size_t column = setting.key.find("[].");
    if (column != std::string::npos) rows_.try_emplace(setting.key.substr(0, column));
    bool number = setting.type == Setting::kInteger || setting.type == Setting::kBytes ||
                  setting.type == Setting::kDuration;
    std::string fallback = setting.fallback;
    if (fallback.empty() && number) fallback = "0";
    if (setting.type == Setting::kDuration && fallback == "0") fallback = "0s";
    if (fallback.empty() && setting.type == Setting::kBool) fallback = "false";
    values_[setting.key] = Value{setting.type, TRY(Canonical(setting, fallback)), kDefaultOrigin};
  }
  return {};
}

Result<> Config::Merge(std::string_view toml, std::string_view file_name) {
  toml::parse_result parsed = toml::parse(toml, file_name);
  if (!parsed) {
    return Fail(Code::kInvalidArgument, Place(file_name, parsed.error().source()), ": ",
                parsed.error().description());
  }
  FoundAll found;
  TRY(Collect(declared_, parsed.table(), "", file_name, found));
  for (FoundRow& from : found.rows) {
    Row& row = rows_.find(from.table)->second.emplace_back();
    row.origin_ = from.origin;
    std::string prefix = from.table + "[].";
    for (auto at = declared_.lower_bound(prefix); at != declared_.end() && at->first.starts_with(prefix);
         ++at)
      row.values_[at->first.substr(prefix.size())] = values_.find(at->first)->second;
    for (FoundValue& item : from.values) {
      Value& value = row.values_.find(item.key)->second;
      value.text = std::move(item.text);
      value.origin = std::move(item.origin);
    }
  }
  for (FoundValue& item : found.values) {
    Value& value = values_.find(item.key)->second;
    value.text = std::move(item.text);
    value.origin = std::move(item.origin);
  }
  return {};
}

Result<Config> Config::Load(const Settings& settings, const std::vector<std::string>& files) {
  Config config;
  TRY(config.SetDefaults(settings));
  for (const std::string& file : files) {
    auto text = ReadFile(file, 1 << 20);
    if (!text && text.error().code == Code::kNotFound) continue;
    if (!text) return Failure(std::move(text).error());
    TRY(config.Merge(*text, file));
  }
  return config;
}

Result<Config> Config::Parse(const Settings& settings, std::string_view toml, std::string_view file_name) {
  Config config;
  TRY(config.SetDefaults(settings));
  TRY(config.Merge(toml, file_name));
  return config;
}

const Config::Value& Config::Find(std::string_view key, Setting::Type type) const {
  auto at = values_.find(key);
  CHECK(at != values_.end());
  CHECK(at->second.type == type);
  return at->second;
}

const std::string& Config::String(std::string_view key) const { return Find(key, Setting::kString).text; }
std::int64_t Config::Integer(std::string_view key) const {
  return std::stoll(Find(key, Setting::kInteger).text);
}
bool Config::Bool(std::string_view key) const { return Find(key, Setting::kBool).text == "true"; }
std::uint64_t Config::Bytes(std::string_view key) const {
  return std::stoull(Find(key, Setting::kBytes).text);
}
std::chrono::seconds Config::Seconds(std::string_view key) const {
  return std::chrono::seconds(std::stoll(Find(key, Setting::kDuration).text));
}
std::vector<std::string> Config::List(std::string_view key) const {
  const std::string& text = Find(key, Setting::kStringList).text;
  return text.empty() ? std::vector<std::string>{} : Split(text, ',');
}

const Config::Value& Config::Row::Find(std::string_view column, Setting::Type type) const {
  auto at = values_.find(column);
  CHECK(at != values_.end());
  CHECK(at->second.type == type);
  return at->second;
}
const std::string& Config::Row::String(std::string_view column) const {
  return Find(column, Setting::kString).text;
}
std::int64_t Config::Row::Integer(std::string_view column) const {
  return std::stoll(Find(column, Setting::kInteger).text);
}
bool Config::Row::Bool(std::string_view column) const { return Find(column, Setting::kBool).text == "true"; }
std::chrono::seconds Config::Row::Seconds(std::string_view column) const {
  return std::chrono::seconds(std::stoll(Find(column, Setting::kDuration).text));
}
std::vector<std::string> Config::Row::List(std::string_view column) const {
  const std::string& text = Find(column, Setting::kStringList).text;
  return text.empty() ? std::vector<std::string>{} : Split(text, ',');
}
bool Config::Row::Has(std::string_view column) const {
  auto at = values_.find(column);
  return at != values_.end() && at->second.origin != kDefaultOrigin;
}
const std::string& Config::Row::Origin(std::string_view column) const {
  return column.empty() || !Has(column) ? origin_ : values_.find(column)->second.origin;
}

const std::vector<Config::Row>& Config::Rows(std::string_view table) const {
  auto at = rows_.find(table);
  CHECK(at != rows_.end());
  return at->second;
}

const std::string& Config::Origin(std::string_view key) const {
  auto at = values_.find(key);
  CHECK(at != values_.end());
  return at->second.origin;
}

std::string Config::Show() const {
  std::string text;
  for (const auto& [key, value] : values_) {
    if (key.find("[].") == std::string::npos) text += Cat(key, " = ", value.text, "  # ", value.origin, "\n");
  }
  for (const auto& [table, rows] : rows_) {
    for (const Row& row : rows) {
      text += Cat("[[", table, "]]  # ", row.origin_, "\n");
      for (const auto& [column, value] : row.values_) {
        if (row.Has(column)) text += Cat(column, " = ", value.text, "  # ", value.origin, "\n");
      }
    }
  }
  return text;
}

std::string SettingsReference(const Settings& settings) {
  std::string text = "# Settings\n\n| key | takes | default | meaning |\n|---|---|---|---|\n";
  for (const Setting& s : settings) {
    text += Cat("| `", s.key, "` | ", TypeName(s.type), " | ",
                s.fallback.empty() ? std::string("none") : Cat("`", s.fallback, "`"), " | ", s.doc, " |\n");
  }
  return text;
}

}  // namespace slipway
