// SPDX-License-Identifier: Apache-2.0
// A table of what can be shown of a record: one row a field, named as Slurm's manual pages name it.
#pragma once

#include <cctype>
#include <span>
#include <string>
#include <string_view>

#include "cli/habits/format.h"

namespace slipway::cli {

template <class Record>
struct Field {
  const char* name;     // for -O and for tables; any case
  char letter;          // for -o; 0: none
  const char* heading;  // above the column
  unsigned width;       // in tables
  std::string (*text)(const Record&);
};

inline bool SameWord(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(a[i])) != std::tolower(static_cast<unsigned char>(b[i])))
      return false;
  }
  return true;
}

template <class Record>
FindLetter LetterIn(std::span<const Field<Record>> fields) {
  return [fields](char letter) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (fields[i].letter == letter) return static_cast<int>(i);
    }
    return -1;
  };
}

template <class Record>
FindName NameIn(std::span<const Field<Record>> fields) {
  return [fields](std::string_view name) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (SameWord(fields[i].name, name)) return static_cast<int>(i);
    }
    return -1;
  };
}

template <class Record>
std::function<std::string(int)> HeadingsOf(std::span<const Field<Record>> fields) {
  return [fields](int field) { return std::string(fields[static_cast<std::size_t>(field)].heading); };
}

// `record` is borrowed.
template <class Record>
std::function<std::string(int)> TextsOf(std::span<const Field<Record>> fields, const Record& record) {
  return [fields, &record](int field) { return fields[static_cast<std::size_t>(field)].text(record); };
}

template <class Record>
std::function<unsigned(int)> WidthsOf(std::span<const Field<Record>> fields) {
  return [fields](int field) { return fields[static_cast<std::size_t>(field)].width; };
}

}  // namespace slipway::cli
