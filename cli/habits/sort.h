// SPDX-License-Identifier: Apache-2.0
// `squeue -S` and `sinfo -S`: lines in the order of columns, "P,-t,i". Pure. Cells are compared as what they
// look like: numbers by value, times and lengths of time ("1-02:00:00", "UNLIMITED") by length, else as text.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "cli/habits/format.h"

namespace slipway::cli {

struct SortKey {
  int field = 0;
  bool descending = false;
};

// "[+|-]LETTER,…"; a '#' before a letter (the site's own order, which lines come in) is taken.
// kInvalidArgument names the letter that is not known.
Result<std::vector<SortKey>> ParseSort(std::string_view text, const FindLetter& find);
// Whether one cell comes before the other.
bool CellBefore(const std::string& a, const std::string& b);

// Stable: what is equal stays as it is. `text(record, field)` is the cell.
template <class Record>
void SortBy(const std::vector<SortKey>& keys, std::vector<Record>& records,
            const std::function<std::string(const Record&, int)>& text) {
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
    std::stable_sort(records.begin(), records.end(), [&](const Record& a, const Record& b) {
      const Record& first = key->descending ? b : a;
      const Record& second = key->descending ? a : b;
      return CellBefore(text(first, key->field), text(second, key->field));
    });
  }
}

}  // namespace slipway::cli
