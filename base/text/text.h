// SPDX-License-Identifier: Apache-2.0
// Small string tools that more than one folder needs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace slipway {

std::string_view Trim(std::string_view text);                           // of spaces, tabs and line ends
std::vector<std::string> Split(std::string_view text, char separator);  // "" → {""}
// For a terminal and a log: control characters as C writes them (\n, \x1b), so that it stays one line that
// moves nothing.
std::string Printable(std::string_view text);
std::string Join(const std::vector<std::string>& parts, std::string_view separator);
// The word of `known` nearest to `word` (edit distance ≤ 2), or empty: for "did you mean".
std::string NearestWord(std::string_view word, const std::vector<std::string>& known);

}  // namespace slipway
