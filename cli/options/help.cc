// SPDX-License-Identifier: Apache-2.0
// Help is read by people who want to do one thing now: the examples come first.
#include <algorithm>

#include "base/text/text.h"
#include "cli/options/options.h"

namespace slipway::cli {
namespace {

std::string Shown(const Positional& positional) {
  switch (positional.arity) {
    case Positional::kOptional:
      return Cat("[", positional.name, "]");
    case Positional::kMany:
      return Cat("[", positional.name, "...]");
    default:
      return positional.name;
  }
}

std::string Shown(const Option& option) {
  std::string letter = option.letter != 0 ? Cat("-", option.letter, ", ") : "    ";
  if (option.type == Option::kMaybe && !option.value_name.empty())
    return Cat(letter, "--", option.name, "[=", option.value_name, "]");
  return Cat(letter, "--", option.name, option.value_name.empty() ? "" : " ", option.value_name);
}

// `text` wrapped into [indent, columns), the first line continuing one that has `used` columns already.
std::string Wrapped(std::string_view text, std::size_t indent, std::size_t columns, std::size_t used) {
  std::string out;
  for (const std::string& word : Split(text, ' ')) {
    if (used > indent && used + 1 + word.size() > columns) {
      out += Cat("\n", std::string(indent, ' '));
      used = indent;
    } else if (used > indent) {
      out += ' ';
      ++used;
    }
    out += word;
    used += word.size();
  }
  return out + "\n";
}

struct Row {
  std::string left, right;
};

std::string Table(std::string_view title, const std::vector<Row>& rows, std::size_t columns) {
  if (rows.empty()) return {};
  constexpr std::size_t kWidestLeft = 34;
  std::size_t left = 0;
  for (const Row& row : rows) {
    if (row.left.size() <= kWidestLeft) left = std::max(left, row.left.size());
  }
  std::size_t indent = left + 4;
  std::string out = Cat("\n", title, ":\n");
  for (const Row& row : rows) {
    out += Cat("  ", row.left);
    bool too_wide = row.left.size() > left;
    out += too_wide ? Cat("\n", std::string(indent, ' ')) : std::string(indent - 2 - row.left.size(), ' ');
    out += Wrapped(row.right, indent, columns, indent);
  }
  return out;
}

}  // namespace

std::string UsageLine(const Command& command) {
  std::string line = Cat("usage: ", command.name, " [OPTION...]");
  for (const Positional& positional : command.positionals) line += Cat(" ", Shown(positional));
  return line;
}

std::string HelpText(const Command& command, std::size_t columns) {
  std::string text = Cat(command.name, ": ", command.summary, "\n");
  if (!command.examples.empty()) text += "\nExamples:\n";
  for (const Example& example : command.examples) {
    text += Cat("  ", example.command, "\n");
    if (!example.what.empty()) text += Cat("      ", Wrapped(example.what, 6, columns, 6));
  }
  text += Cat("\n", UsageLine(command), "\n");
  std::vector<Row> rows;
  for (const Positional& positional : command.positionals) {
    if (!positional.help.empty()) rows.push_back({positional.name, positional.help});
  }
  text += Table("Arguments", rows, columns);
  rows.clear();
  for (const Option& option : command.options) {
    if (!option.hidden)
      rows.push_back({Shown(option),
                      option.type == Option::kList ? option.help + " (may be given again)" : option.help});
  }
  rows.push_back({"-h, --help", "show this help"});
  text += Table("Options", rows, columns);
  if (!command.notes.empty()) text += Cat("\n", command.notes, command.notes.back() == '\n' ? "" : "\n");
  return text;
}

}  // namespace slipway::cli
