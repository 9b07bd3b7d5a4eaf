// SPDX-License-Identifier: Apache-2.0
#include "cli/habits/sort.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>

#include "base/text/text.h"

namespace slipway::cli {
namespace {

// A number, or [DAYS-][[HOURS:]MINUTES:]SECONDS, as a number.
std::optional<double> ValueOf(std::string_view text) {
  text = Trim(text);
  if (text == "UNLIMITED" || text == "infinite") return std::numeric_limits<double>::infinity();
  if (text.empty() || text.find_first_not_of("0123456789:-.") != std::string_view::npos) return std::nullopt;
  double days = 0, value = 0;
  if (auto dash = text.find('-'); dash != std::string_view::npos && dash > 0) {
    const auto read = std::from_chars(text.data(), text.data() + dash, days);
    if (read.ptr != text.data() + dash) return std::nullopt;
    text.remove_prefix(dash + 1);
    if (text.find(':') == std::string_view::npos) return std::nullopt;  // a date
  }
  for (std::string_view part : Split(text, ':')) {
    double one = 0;
    const auto read = std::from_chars(part.data(), part.data() + part.size(), one);
    if (part.empty() || read.ptr != part.data() + part.size()) return std::nullopt;
    value = value * 60 + one;
  }
  return days * 86400 + value;
}

}  // namespace

Result<std::vector<SortKey>> ParseSort(std::string_view text, const FindLetter& find) {
  std::vector<SortKey> keys;
  for (std::string_view word : Split(text, ',')) {
    SortKey key;
    std::string_view rest = Trim(word);
    while (!rest.empty() && (rest[0] == '+' || rest[0] == '-' || rest[0] == '#')) {
      key.descending = rest[0] == '-' || (key.descending && rest[0] != '+');
      rest.remove_prefix(1);
    }
    key.field = rest.size() == 1 ? find(rest[0]) : -1;
    if (key.field < 0)
      return Fail(Code::kInvalidArgument, "--sort: '", word,
                  "' is no column's letter; it is [+|-]LETTER,… with the letters of --format");
    keys.push_back(key);
  }
  return keys;
}

bool CellBefore(const std::string& a, const std::string& b) {
  const std::optional<double> first = ValueOf(a), second = ValueOf(b);
  if (first && second) return *first < *second;
  if (first.has_value() != second.has_value()) return first.has_value();
  return a < b;
}

}  // namespace slipway::cli
