// SPDX-License-Identifier: Apache-2.0
#include "cli/show/table.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "base/result/result.h"
#include "base/text/units.h"

namespace slipway::cli {
namespace {

// Bytes that continue a UTF-8 character take no column.
std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string Padded(const std::string& text, std::size_t width, bool right) {
  std::string blanks(width - Width(text), ' ');
  return right ? blanks + text : text + blanks;
}

}  // namespace

void Table::Add(std::vector<std::string> cells) {
  CHECK(cells.size() == columns_.size());
  for (std::string& cell : cells) cell = Printable(std::move(cell));
  rows_.push_back(std::move(cells));
}

std::string Table::Text(bool bold) const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(Width(column.heading));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  auto line = [&](auto&& cell) {
    std::string text;
    for (std::size_t i = 0; i < columns_.size(); ++i)
      text += (i == 0 ? "" : "  ") + Padded(cell(i), widths[i], columns_[i].right);
    while (!text.empty() && text.back() == ' ') text.pop_back();
    return text;
  };
  std::string text = line([&](std::size_t i) { return columns_[i].heading; });
  text = bold ? "\033[1m" + text + "\033[0m\n" : text + "\n";
  for (const auto& row : rows_) text += line([&](std::size_t i) { return row[i]; }) + "\n";
  return text;
}

bool WantsColour(int fd) {
  const char* no = ::getenv("NO_COLOR");
  return (no == nullptr || no[0] == '\0') && ::isatty(fd) == 1;
}

std::string Printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

std::string FormatMilliseconds(std::uint64_t ms) {
  if (ms >= 60'000) return FormatTimeLimit(std::chrono::seconds(ms / 1000));
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, ms < 10'000 ? "%.3f s" : "%.1f s", static_cast<double>(ms) / 1000);
  return buffer;
}

std::string FormatMoment(std::int64_t ms) {
  if (ms == 0) return "-";
  std::string text = FormatTime(std::chrono::system_clock::time_point(std::chrono::milliseconds(ms)));
  return text.substr(0, 19) + "Z";
}

}  // namespace slipway::cli
