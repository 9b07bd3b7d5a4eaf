// SPDX-License-Identifier: Apache-2.0
// A name is a sequence of pieces: fixed text or a bracket of numbers; names are the product of all brackets,
// the rightmost running fastest, as Slurm's are.
#include "base/text/hostlist.h"

#include <cstdint>

#include "base/text/units.h"

namespace slipway {
namespace {

constexpr std::size_t kWidthMax = 18;

struct Range {
  std::uint64_t low = 0, high = 0;
  std::size_t width = 0;  // digits, zeros in front kept
};
struct Piece {
  std::string text;           // of fixed text
  std::vector<Range> ranges;  // of a bracket
};

std::string Padded(std::uint64_t number, std::size_t width) {
  std::string digits = std::to_string(number);
  return digits.size() < width ? std::string(width - digits.size(), '0') + digits : digits;
}

Failure Malformed(std::string_view text, std::size_t at, std::string_view what) {
  return Fail(Code::kInvalidArgument, "host list '", text.substr(0, 200), "': ", what, " at character ",
              at + 1);
}

class Parser {
 public:
  Parser(std::string_view text, std::size_t names_max) : text_(text), names_max_(names_max) {}

  Result<std::vector<std::string>> Names() {
    std::vector<std::string> names;
    if (text_.empty()) return names;
    for (;;) {
      std::vector<Piece> pieces = TRY(Word());
      TRY(Add(pieces, names));
      if (at_ == text_.size()) return names;
      ++at_;  // the comma
    }
  }

 private:
  Result<std::vector<Piece>> Word() {
    std::vector<Piece> pieces;
    while (at_ < text_.size() && text_[at_] != ',') {
      char c = text_[at_];
      if (c == ']') return Malformed(text_, at_, "']' without '['");
      if (c == '[') {
        pieces.push_back(TRY(Bracket()));
        continue;
      }
      auto end = text_.find_first_of("[],", at_);
      if (end == std::string_view::npos) end = text_.size();
      std::string_view fixed = text_.substr(at_, end - at_);
      if (auto space = fixed.find_first_of(" \t\r\n"); space != std::string_view::npos)
        return Malformed(text_, at_ + space, "a blank");
      pieces.push_back({std::string(fixed), {}});
      at_ = end;
    }
    if (pieces.empty()) return Malformed(text_, at_, "an empty name");
    return pieces;
  }

  Result<Piece> Bracket() {
    Piece piece;
    auto close = text_.find(']', at_);
    if (close == std::string_view::npos) return Malformed(text_, at_, "'[' without ']'");
    while (at_ < close) {
      ++at_;  // '[' or ','
      auto end = text_.find_first_of(",]", at_);
      piece.ranges.push_back(TRY(OneRange(text_.substr(at_, end - at_))));
      at_ = end;
    }
    ++at_;
    return piece;
  }

  Result<Range> OneRange(std::string_view range) {
    auto dash = range.find('-');
    std::string_view low = range.substr(0, dash);
    std::string_view high = dash == std::string_view::npos ? low : range.substr(dash + 1);
    constexpr std::uint64_t kNumberMax = 999'999'999'999'999'999;
    auto from = ParseNumber(low, 0, kNumberMax);
    auto to = ParseNumber(high, 0, kNumberMax);
    if (!from || !to || low.size() > kWidthMax || high.size() > kWidthMax)
      return Malformed(text_, at_, "not a range of numbers");
    if (*from > *to) return Malformed(text_, at_, "a range that runs backwards");
    return Range{*from, *to, low.size()};
  }

  Result<> Add(const std::vector<Piece>& pieces, std::vector<std::string>& names) {
    std::size_t room = names_max_ - names.size();
    std::uint64_t count = 1;
    for (const Piece& piece : pieces) {
      if (piece.ranges.empty()) continue;
      std::uint64_t choices = 0;
      for (const Range& range : piece.ranges) {
        choices += range.high - range.low + 1;
        if (choices > room) break;
      }
      count = choices > room ? choices : count * choices;
      if (count > room) break;
    }
    if (count > room)
      return Fail(Code::kOutOfRange, "host list '", text_.substr(0, 200), "' names more than ", names_max_,
                  " hosts");
    std::vector<std::string> made = {""};
    for (const Piece& piece : pieces) {
      std::vector<std::string> longer;
      for (const std::string& prefix : made) {
        if (piece.ranges.empty()) longer.push_back(prefix + piece.text);
        for (const Range& range : piece.ranges) {
          for (std::uint64_t n = range.low; n <= range.high; ++n)
            longer.push_back(prefix + Padded(n, range.width));
        }
      }
      made.swap(longer);
    }
    names.insert(names.end(), made.begin(), made.end());
    return {};
  }

  std::string_view text_;
  std::size_t names_max_;
  std::size_t at_ = 0;
};

// A name cut at its last number: "n008-ib" is {"n", "008", "-ib"}.
struct Cut {
  std::string_view before, digits, after;
};
Cut CutAtLastNumber(std::string_view name) {
  auto last = name.find_last_of("0123456789");
  if (last == std::string_view::npos) return {name, {}, {}};
  auto first = name.find_last_not_of("0123456789", last);
  first = first == std::string_view::npos ? 0 : first + 1;
  if (last + 1 - first > kWidthMax) return {name, {}, {}};
  return {name.substr(0, first), name.substr(first, last + 1 - first), name.substr(last + 1)};
}

std::uint64_t Value(std::string_view digits) {
  std::uint64_t value = 0;
  for (char c : digits) value = value * 10 + static_cast<std::uint64_t>(c - '0');
  return value;
}

}  // namespace

Result<std::vector<std::string>> ExpandHostlist(std::string_view text, std::size_t names_max) {
  return Parser(text, names_max).Names();
}

std::string CompressHostlist(std::span<const std::string> names) {
  std::string list;
  for (std::size_t i = 0; i < names.size();) {
    Cut first = CutAtLastNumber(names[i]);
    std::vector<Range> ranges;
    std::size_t next = i;
    for (; next < names.size() && !first.digits.empty(); ++next) {
      Cut cut = CutAtLastNumber(names[next]);
      if (cut.digits.empty() || cut.before != first.before || cut.after != first.after) break;
      std::uint64_t value = Value(cut.digits);
      // A range keeps the width of its first number, so "9" may be followed by "10" but "09" not by "9".
      bool follows = !ranges.empty() && value == ranges.back().high + 1 &&
                     Padded(value, ranges.back().width) == cut.digits;
      if (follows) {
        ranges.back().high = value;
      } else {
        ranges.push_back({value, value, cut.digits.size()});
      }
    }
    if (!list.empty()) list += ',';
    if (next <= i + 1) {
      list += names[i++];
      continue;
    }
    list += Cat(first.before, "[");
    for (std::size_t r = 0; r < ranges.size(); ++r) {
      if (r > 0) list += ',';
      list += Padded(ranges[r].low, ranges[r].width);
      if (ranges[r].high > ranges[r].low) list += Cat("-", Padded(ranges[r].high, ranges[r].width));
    }
    list += Cat("]", first.after);
    i = next;
  }
  return list;
}

}  // namespace slipway
