// SPDX-License-Identifier: Apache-2.0
#include "cli/config/conf_text.h"

#include <algorithm>
#include <cstdio>

#include "base/text/text.h"
#include "launcher/spec/starter_conf.h"

namespace slipway::cli {
namespace {

std::string NearestKey(const std::string& line) {
  BrokerConf conf;
  std::vector<std::string> names;
  for (const ConfKey& key : ConfKeys(conf)) names.emplace_back(key.name);
  std::string word = line.substr(std::min(line.find_first_not_of(" \t"), line.size()));
  word = word.substr(0, word.find_first_of(" \t="));
  return NearestWord(word, names);
}

struct Written {
  std::string operator()(const std::string* text) const { return *text; }
  std::string operator()(const bool* flag) const { return *flag ? "yes" : "no"; }
  std::string operator()(const std::uint32_t* number) const {
    return *number == kNoId ? "" : std::to_string(*number);
  }
  std::string operator()(const std::uint64_t* number) const { return std::to_string(*number); }
  std::string operator()(const std::vector<std::string>* list) const { return Join(*list, " "); }
  std::string operator()(const std::vector<std::uint32_t>* list) const {
    std::vector<std::string> words;
    for (std::uint32_t one : *list) words.push_back(std::to_string(one));
    return Join(words, " ");
  }
};

}  // namespace

std::string ExplainMistake(const std::string& path, const std::string& text) {
  auto conf = ParseConf(text);
  if (conf) return {};
  const std::string& message = conf.error().message;
  unsigned number = 0, column = 0;
  if (std::sscanf(message.c_str(), "line %u, column %u", &number, &column) != 2)
    return Cat(path, ": ", message, "\n");
  std::vector<std::string> lines = Split(text, '\n');
  std::string line = number >= 1 && number <= lines.size() ? lines[number - 1] : "";
  std::string shown = line.substr(0, 160);
  std::replace_if(
      shown.begin(), shown.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  std::string said = Cat(path, ": ", message, "\n  ", shown, "\n");
  if (column >= 1 && column <= shown.size() + 1) said += Cat("  ", std::string(column - 1, ' '), "^\n");
  std::string nearest = message.find("unknown key") != std::string::npos ? NearestKey(line) : "";
  if (!nearest.empty()) said += Cat("  did you mean ", nearest, "?\n");
  return said;
}

Result<std::string> ShowConf(const std::string& text) {
  BrokerConf conf = TRY(ParseConf(text)), defaults = TRY(ParseConf(""));
  std::vector<ConfKey> keys = ConfKeys(conf), usual = ConfKeys(defaults);
  std::string said;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    std::string value = std::visit(Written(), keys[i].slot), otherwise = std::visit(Written(), usual[i].slot);
    said += Cat(value == otherwise ? "# " : "", keys[i].name, " = ", value, "\n");
  }
  return said;
}

}  // namespace slipway::cli
