// SPDX-License-Identifier: Apache-2.0
#include "cli/script/directives.h"

#include "base/text/text.h"

namespace slipway::cli {
namespace {

constexpr std::string_view kMarks[] = {"#SBATCH", "#SLIPWAY"};

// What follows the mark, or nothing when the line is no directive.
bool DirectiveOf(std::string_view line, std::string_view& words) {
  for (std::string_view mark : kMarks) {
    if (!line.starts_with(mark)) continue;
    words = line.substr(mark.size());
    return words.empty() || words[0] == ' ' || words[0] == '\t';
  }
  return false;
}

// The parser's messages begin with the command's name, which says nothing in a script.
std::string WithoutCommand(std::string message, const Command& command) {
  std::string prefix = command.name + ": ";
  return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
}

Result<std::vector<std::string>> ReadLine(const Command& command, std::string_view words_text) {
  std::vector<std::string> words = TRY(SplitWords(words_text));
  auto parsed = ParseOptions(command, words);
  if (!parsed)
    return Fail(Code::kInvalidArgument, WithoutCommand(std::move(parsed).error().message, command));
  if (!parsed->positionals().empty())
    return Fail(Code::kInvalidArgument, "'", parsed->positionals()[0], "' is no option");
  if (parsed->help()) return Fail(Code::kInvalidArgument, "--help has no place in a script");
  return words;
}

}  // namespace

Result<std::vector<std::string>> SplitWords(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    char c = line[i];
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else if (c == '\\' && quote == '"' && i + 1 < line.size() &&
                 (line[i + 1] == '"' || line[i + 1] == '\\')) {
        word += line[++i];
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == '\\' && i + 1 < line.size()) {
      word += line[++i];
      in_word = true;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else if (c == '#' && !in_word) {
      break;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != 0) return Fail(Code::kInvalidArgument, "a ", quote, " has no end");
  if (in_word) words.push_back(word);
  return words;
}

Result<std::vector<std::string>> ReadDirectives(const Command& command, std::string_view script,
                                                std::string_view name) {
  if (!script.starts_with("#!"))
    return Fail(Code::kInvalidArgument, name,
                ":1: a batch script begins with #! and its interpreter, such as #!/bin/sh");
  if (script.find('\0') != std::string_view::npos)
    return Fail(Code::kInvalidArgument, name, ": is a program, not a script; submit it with --wrap");
  std::vector<std::string> all;
  for (unsigned number = 1; !script.empty(); ++number) {
    auto end = script.find('\n');
    std::string_view line = script.substr(0, end), words;
    script.remove_prefix(end == std::string_view::npos ? script.size() : end + 1);
    if (DirectiveOf(line, words) && (Trim(words) == "hetjob" || Trim(words) == "packjob")) {
      all.emplace_back(kComponentMark);
    } else if (DirectiveOf(line, words)) {
      auto read = TRY_CONTEXT(ReadLine(command, words), Cat(name, ":", number));
      all.insert(all.end(), read.begin(), read.end());
    } else if (std::string_view rest = Trim(line); !rest.empty() && rest[0] != '#') {
      break;
    }
  }
  return all;
}

}  // namespace slipway::cli
