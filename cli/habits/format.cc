// SPDX-License-Identifier: Apache-2.0
#include "cli/habits/format.h"

#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/show/table.h"

namespace slipway::cli {
namespace {

constexpr unsigned kWidthMax = 10000, kNameWidth = 20;

// Bytes that begin a character: widths count those.
bool Begins(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

std::string Fitted(std::string text, const Piece& piece) {
  text = Printable(std::move(text));
  if (piece.width == 0) return text;
  std::size_t characters = 0, at = 0;
  for (; at < text.size(); ++at) {
    if (Begins(text[at]) && characters++ == piece.width) break;
  }
  if (at < text.size()) {
    if (piece.cut) text.resize(at);
    return text;
  }
  std::string blanks(piece.width - characters, ' ');
  return piece.right ? blanks + text : text + blanks;
}

Result<unsigned> Width(std::string_view digits, std::string_view where) {
  return static_cast<unsigned>(
      TRY_CONTEXT(ParseNumber(digits, 1, kWidthMax), Cat("the width in '", where, "'")));
}

}  // namespace

Result<Format> ParseLetters(std::string_view text, const FindLetter& find) {
  Format format;
  std::string literal;
  auto flush = [&] {
    if (!literal.empty()) format.push_back({.literal = std::exchange(literal, {})});
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      literal += text[at];
      continue;
    }
    std::size_t begin = at++;
    if (at < text.size() && text[at] == '%') {
      literal += '%';
      continue;
    }
    Piece piece;
    for (; at < text.size() && (text[at] == '.' || text[at] == '#' || text[at] == '-'); ++at)
      piece.right = piece.right || text[at] == '.';
    std::size_t digits = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    std::string_view word = text.substr(begin, at + 1 - begin);
    if (at > digits) piece.width = TRY(Width(text.substr(digits, at - digits), word));
    piece.field = at < text.size() ? find(text[at]) : -1;
    if (piece.field < 0)
      return Fail(Code::kInvalidArgument, "the format '", text.substr(0, 200), "': ", word,
                  " is not known here");
    flush();
    format.push_back(piece);
  }
  flush();
  return format;
}

Result<Format> ParseNames(std::string_view text, const FindName& find) {
  Format format;
  for (const std::string& word : Split(text, ',')) {
    auto colon = word.find(':');
    std::string_view width =
        colon == std::string::npos ? std::string_view() : std::string_view(word).substr(colon + 1);
    Piece piece{.field = find(Trim(std::string_view(word).substr(0, colon))), .width = kNameWidth};
    if (piece.field < 0)
      return Fail(Code::kInvalidArgument, "the format '", text.substr(0, 200), "': '", word,
                  "' is not known here");
    if (width.starts_with(".")) piece.right = true, width.remove_prefix(1);
    if (!width.empty()) piece.width = TRY(Width(width, word));
    format.push_back(piece);
  }
  return format;
}

Result<Format> ParseTable(std::string_view text, const FindName& find,
                          const std::function<unsigned(int)>& usual) {
  Format format;
  for (const std::string& word : Split(text, ',')) {
    if (Trim(word).empty()) continue;
    auto percent = word.find('%');
    Piece piece{.field = find(Trim(std::string_view(word).substr(0, percent))), .right = true, .cut = false};
    if (piece.field < 0)
      return Fail(Code::kInvalidArgument, "the format '", text.substr(0, 200), "': '", word,
                  "' is not known here");
    piece.width = usual(piece.field);
    if (percent != std::string::npos) {
      std::string_view width = std::string_view(word).substr(percent + 1);
      if (width.starts_with("-")) piece.right = false, width.remove_prefix(1);
      piece.width = TRY(Width(width, word));
      piece.cut = true;
    }
    format.push_back(piece);
  }
  return format;
}

std::string Line(const Format& format, const std::function<std::string(int)>& text) {
  std::string line;
  for (const Piece& piece : format)
    line += piece.field < 0 ? piece.literal : Fitted(text(piece.field), piece);
  return line + "\n";
}

std::string TableLine(const Format& format, const TableStyle& style,
                      const std::function<std::string(int)>& text) {
  std::string line;
  for (const Piece& piece : format) {
    if (style.delimiter == 0) {
      line += Fitted(text(piece.field), piece) + " ";
    } else {
      line += Printable(text(piece.field)) + style.delimiter;
    }
  }
  if (style.delimiter != 0 && !style.trailing && !line.empty()) line.pop_back();
  return line + "\n";
}

std::string TableHead(const Format& format, const TableStyle& style,
                      const std::function<std::string(int)>& heading) {
  if (!style.header) return {};
  std::string head = TableLine(format, style, heading);
  if (style.delimiter != 0) return head;
  for (const Piece& piece : format) head += std::string(piece.width, '-') + " ";
  return head + "\n";
}

}  // namespace slipway::cli
