// SPDX-License-Identifier: Apache-2.0
// What people read: columns as wide as their widest cell, headings bold on a terminal (not with NO_COLOR).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace slipway::cli {

struct Column {
  std::string heading;
  bool right = false;  // numbers
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void Add(std::vector<std::string> cells);  // as many as there are columns
  bool empty() const { return rows_.empty(); }
  // Control characters in cells, which others chose, become '?'.
  std::string Text(bool bold) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Bold and colours on this descriptor? A terminal, and NO_COLOR is not set.
bool WantsColour(int fd);
std::string Printable(std::string text);
std::string FormatMilliseconds(std::uint64_t ms);  // "0.120 s", "12.3 s", "1:02:03"
std::string FormatMoment(std::int64_t ms);         // "2026-11-23T03:36:30Z", "-" for 0

}  // namespace slipway::cli
