// SPDX-License-Identifier: Apache-2.0
#include "base/text/units.h"

#include <array>
#include <cstdio>
#include <ctime>
#include <optional>
#include <vector>

#include "base/text/text.h"

namespace slipway {
namespace {

constexpr std::uint64_t kMax = ~std::uint64_t{0};

// Digits only; nothing when there are none, or more than fit.
std::optional<std::uint64_t> Digits(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    auto digit = static_cast<std::uint64_t>(c - '0');
    if (value > (kMax - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool SameIgnoringCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

// What a suffix multiplies by; nothing when it is not one.
std::optional<std::uint64_t> SuffixFactor(std::string_view suffix, std::uint64_t unit_bytes) {
  if (suffix.empty()) return unit_bytes;
  if (SameIgnoringCase(suffix, "b")) return 1;
  constexpr std::string_view kLetters = "kmgtpe";
  auto power = kLetters.find(Lower(suffix[0]));
  std::string_view rest = suffix.substr(1);
  if (power == std::string_view::npos ||
      !(rest.empty() || SameIgnoringCase(rest, "b") || SameIgnoringCase(rest, "ib")))
    return std::nullopt;
  return std::uint64_t{1} << (10 * (power + 1));
}

}  // namespace

Result<std::uint64_t> ParseNumber(std::string_view text, std::uint64_t low, std::uint64_t high) {
  auto value = Digits(text);
  if (!value || *value < low || *value > high)
    return Fail(Code::kInvalidArgument, "'", text.substr(0, 64), "' is not a whole number from ", low, " to ",
                high);
  return *value;
}

Result<std::uint64_t> ParseBytes(std::string_view text, std::uint64_t unit_bytes) {
  auto bad = [&] {
    return Fail(Code::kInvalidArgument, "'", text.substr(0, 64), "' is not a size (say 512M, 2G or 1.5T)");
  };
  auto number_end = text.find_first_not_of("0123456789.");
  std::string_view number = text.substr(0, number_end);
  auto factor = SuffixFactor(
      number_end == std::string_view::npos ? std::string_view{} : text.substr(number_end), unit_bytes);
  if (!factor) return bad();
  auto dot = number.find('.');
  auto whole = Digits(number.substr(0, dot));
  if (!whole) return bad();
  if (*factor != 0 && *whole > kMax / *factor)
    return Fail(Code::kOutOfRange, "'", text.substr(0, 64), "' is more than 2^64 bytes");
  std::uint64_t bytes = *whole * *factor;
  if (dot == std::string_view::npos) return bytes;
  std::string_view fraction = number.substr(dot + 1);
  auto part = Digits(fraction);
  if (!part || fraction.size() > 6) return bad();
  std::uint64_t scale = 1;
  for (std::size_t i = 0; i < fraction.size(); ++i) scale *= 10;
  // Exact: part < scale ≤ 10^6, so the product stays below 2^20 · 2^64.
  auto extra = static_cast<std::uint64_t>(static_cast<unsigned __int128>(*part) * *factor / scale);
  if (bytes > kMax - extra)
    return Fail(Code::kOutOfRange, "'", text.substr(0, 64), "' is more than 2^64 bytes");
  return bytes + extra;
}

std::string FormatBytes(std::uint64_t bytes) {
  if (bytes < 1024) return Cat(bytes, " B");
  constexpr std::string_view kLetters = "KMGTPE";
  std::size_t power = 0;
  while (power + 1 < kLetters.size() && bytes >> (10 * (power + 2)) != 0) ++power;
  char number[32];
  std::snprintf(number, sizeof number, "%.1f",
                static_cast<double>(bytes) / static_cast<double>(std::uint64_t{1} << (10 * (power + 1))));
  std::string text = number;
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return Cat(text, ' ', kLetters[power], "iB");
}

namespace {

Result<std::chrono::seconds> SecondsOf(std::string_view text, std::uint64_t count, std::uint64_t unit_s) {
  constexpr std::uint64_t kLongest_s = std::uint64_t{1} << 40;  // far from every overflow, 34,000 years
  if (count > kLongest_s / unit_s)
    return Fail(Code::kOutOfRange, "time limit '", text.substr(0, 64), "' is too long");
  return std::chrono::seconds(count * unit_s);
}

}  // namespace

Result<std::chrono::seconds> ParseTimeLimit(std::string_view text) {
  auto bad = [&] {
    return Fail(Code::kInvalidArgument, "time limit '", text.substr(0, 64),
                "' is none of MINUTES, MM:SS, HH:MM:SS, D-HH[:MM[:SS]], 90s, 15m, 2h, 3d, UNLIMITED");
  };
  if (SameIgnoringCase(text, "unlimited") || SameIgnoringCase(text, "infinite"))
    return std::chrono::seconds::max();
  if (!text.empty() && (text.back() < '0' || text.back() > '9')) {
    auto count = Digits(text.substr(0, text.size() - 1));
    constexpr std::string_view kUnits = "smhd";
    constexpr std::array<std::uint64_t, 4> kUnit_s = {1, 60, 3600, 86400};
    auto unit = kUnits.find(Lower(text.back()));
    if (!count || unit == std::string_view::npos) return bad();
    return SecondsOf(text, *count, kUnit_s[unit]);
  }
  auto dash = text.find('-');
  std::uint64_t days = 0;
  if (dash != std::string_view::npos) {
    auto count = Digits(text.substr(0, dash));
    if (!count) return bad();
    days = *count;
  }
  std::vector<std::uint64_t> fields;
  for (const std::string& part : Split(dash == std::string_view::npos ? text : text.substr(dash + 1), ':')) {
    auto value = Digits(part);
    if (!value || *value > 1'000'000'000 || fields.size() == 3) return bad();
    fields.push_back(*value);
  }
  std::uint64_t seconds = 0;
  if (dash != std::string_view::npos || fields.size() == 3) {
    constexpr std::array<std::uint64_t, 3> kUnit_s = {3600, 60, 1};
    for (std::size_t i = 0; i < fields.size(); ++i) seconds += fields[i] * kUnit_s[i];
  } else {
    seconds = fields[0] * 60 + (fields.size() == 2 ? fields[1] : 0);
  }
  auto whole_days = TRY(SecondsOf(text, days, 86400));
  return whole_days + std::chrono::seconds(seconds);
}

std::string FormatTimeLimit(std::chrono::seconds limit) {
  if (limit == std::chrono::seconds::max()) return "UNLIMITED";
  auto total = static_cast<long long>(limit.count());
  char clock[32];
  std::snprintf(clock, sizeof clock, "%02lld:%02lld:%02lld", total / 3600 % 24, total / 60 % 60, total % 60);
  long long days = total / 86400;
  return days > 0 ? Cat(days, "-", clock) : std::string(clock);
}

std::string FormatTime(std::chrono::system_clock::time_point time) {
  auto since = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  auto whole = std::chrono::floor<std::chrono::seconds>(since);
  std::time_t seconds = whole.count();
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, static_cast<int>((since - whole).count()));
  return text;
}

}  // namespace slipway
