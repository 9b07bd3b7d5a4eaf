// SPDX-License-Identifier: Apache-2.0
// The columns that a script asks for, and scontrol's KEY=VALUE: typed by people, each in a grammar of its
// own.
#include <cstdint>
#include <string_view>

#include "base/text/text.h"
#include "cli/habits/format.h"
#include "cli/habits/scontrol_words.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  using namespace slipway::cli;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto letter = [](char c) { return c >= 'a' && c <= 'z' ? c - 'a' : -1; };
  auto name = [&](std::string_view word) { return word.size() == 1 ? letter(word[0]) : -1; };
  auto shown = [](int field) { return std::string(static_cast<std::size_t>(field % 5), 'x'); };
  auto usual = [](int field) { return static_cast<unsigned>(field); };
  for (const auto& format :
       {ParseLetters(text, letter), ParseNames(text, name), ParseTable(text, name, usual)}) {
    if (!format) {
      CHECK(!format.error().message.empty());
      continue;
    }
    for (const Piece& piece : *format) CHECK(piece.field >= 0 || !piece.literal.empty());
    CHECK(Line(*format, shown).ends_with("\n"));
  }
  if (auto table = ParseTable(text, name, usual))
    CHECK(TableLine(*table, {.delimiter = '|'}, shown).ends_with("\n"));
  auto words = ScontrolWords(Split(text, ' '));
  CHECK(words || !words.error().message.empty());
  return 0;
}
