// SPDX-License-Identifier: Apache-2.0
// The three ways in which Slurm's commands let a script say which columns it wants: `-o "%.18i %T"`, `-O
// "JobID:12,State"`, and sacct's `-o jobid%20,state`. Pure; a field is a number that the caller gave it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway::cli {

struct Piece {
  std::string literal;  // printed as it is, when there is no field
  int field = -1;
  unsigned width = 0;  // 0: as long as it is
  bool right = false;  // at the right of its width
  bool cut = true;     // what is longer than `width` is cut; else it is printed whole
};
using Format = std::vector<Piece>;

// -1: there is none of that name or letter.
using FindLetter = std::function<int(char letter)>;
using FindName = std::function<int(std::string_view name)>;

// "%[.][WIDTH]LETTER" among other text; "%%" is a percent. kInvalidArgument names the letter.
Result<Format> ParseLetters(std::string_view text, const FindLetter& find);
// "NAME[:[.]WIDTH],…"; 20 wide where nothing is said.
Result<Format> ParseNames(std::string_view text, const FindName& find);

// How sacct and sshare print: padded columns with a line below the headings, or parsable.
struct TableStyle {
  bool header = true;
  char delimiter = 0;     // 0: padded columns
  bool trailing = false;  // the delimiter at the end of each line, too
};
// "NAME[%[-]WIDTH],…"; the width that `usual` says of the field, at the right, unless it says otherwise.
Result<Format> ParseTable(std::string_view text, const FindName& find,
                          const std::function<unsigned(int)>& usual);

// One line, with its end. `text` says what a field is.
std::string Line(const Format& format, const std::function<std::string(int)>& text);
std::string TableLine(const Format& format, const TableStyle& style,
                      const std::function<std::string(int)>& text);
std::string TableHead(const Format& format, const TableStyle& style,
                      const std::function<std::string(int)>& heading);

}  // namespace slipway::cli
