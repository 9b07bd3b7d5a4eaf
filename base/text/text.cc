// SPDX-License-Identifier: Apache-2.0
#include "base/text/text.h"

#include <algorithm>

namespace slipway {

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    auto end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string Printable(std::string_view text) {
  constexpr std::string_view kNamed = "abtnvfr";  // from 7 on
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string shown;
  for (char c : text) {
    auto code = static_cast<unsigned char>(c);
    if (code >= 0x20 && code != 0x7f) {
      shown += c;
    } else if (code >= 7 && code < 7 + kNamed.size()) {
      shown += {'\\', kNamed[code - 7]};
    } else {
      shown += {'\\', 'x', kHex[code >> 4], kHex[code & 15]};
    }
  }
  return shown;
}

std::string Join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string joined;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) joined += separator;
    joined += parts[i];
  }
  return joined;
}

namespace {

// Damerau's: neighbours swapped count one, for that is how people mistype.
std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      std::size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

std::string NearestWord(std::string_view word, const std::vector<std::string>& known) {
  constexpr std::size_t kFarthest = 2;
  constexpr std::size_t kLongestCompared = 64;
  if (word.size() > kLongestCompared) return {};
  std::string nearest;
  std::size_t least = kFarthest + 1;
  for (const std::string& candidate : known) {
    if (candidate.size() > kLongestCompared) continue;
    std::size_t distance = EditDistance(word, candidate);
    // A word of two letters is within two edits of every other: nearness must leave something in common.
    if (distance < least && distance < std::max<std::size_t>(word.size(), 1)) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace slipway
