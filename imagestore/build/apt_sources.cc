// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/apt_sources.h"

#include <dirent.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/os/fd.h"
#include "base/text/text.h"

namespace slipway::build {

namespace {

std::vector<std::string> Fields(std::string_view text) {
  std::vector<std::string> fields;
  while (!(text = Trim(text)).empty()) {
    std::size_t end = std::min(text.find_first_of(" \t"), text.size());
    if (text.front() == '[') end = std::min(text.find(']') + 1, text.size());
    if (end == 0) break;
    fields.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return fields;
}

struct Source {
  std::string options, uri, suite;
  std::vector<std::string> components;
};

Source SourceOf(const std::string& line) {
  std::vector<std::string> fields = Fields(line);
  Source source;
  std::size_t at = 1;
  if (fields.size() > at && fields[at].starts_with('[')) source.options = fields[at++];
  if (fields.size() > at) source.uri = fields[at++];
  if (fields.size() > at) source.suite = fields[at++];
  source.components.assign(fields.begin() + static_cast<std::ptrdiff_t>(std::min(at, fields.size())),
                           fields.end());
  return source;
}

bool HasMain(const Source& source) {
  return std::find(source.components.begin(), source.components.end(), "main") != source.components.end();
}

void AddStanza(std::map<std::string, std::string>& stanza, std::vector<std::string>& lines) {
  std::vector<std::string> types = Fields(stanza["types"]);
  bool binary = std::find(types.begin(), types.end(), "deb") != types.end();
  std::string enabled = stanza["enabled"];
  std::string key = std::string(Trim(stanza["signed-by"]));
  // A key written into the file itself cannot be named on one line; apt's own keyrings serve then.
  std::string options = !key.empty() && key.starts_with('/') && key.find_first_of(" \n") == std::string::npos
                            ? Cat("[signed-by=", key, "] ")
                            : "";
  if (binary && enabled != "no" && enabled != "false") {
    for (const std::string& uri : Fields(stanza["uris"])) {
      for (const std::string& suite : Fields(stanza["suites"])) {
        lines.push_back(Cat("deb ", options, uri, " ", suite, " ", Join(Fields(stanza["components"]), " ")));
      }
    }
  }
  stanza.clear();
}

}  // namespace

std::vector<std::string> ParseOneLineSources(std::string_view text) {
  std::vector<std::string> lines;
  for (const std::string& raw : Split(text, '\n')) {
    std::string_view line = Trim(std::string_view(raw).substr(0, raw.find('#')));
    if (line.starts_with("deb ") || line.starts_with("deb\t")) lines.push_back(Join(Fields(line), " "));
  }
  return lines;
}

std::vector<std::string> ParseDeb822Sources(std::string_view text) {
  std::vector<std::string> lines;
  std::map<std::string, std::string> stanza;
  std::string key;
  for (const std::string& raw : Split(text, '\n')) {
    if (raw.starts_with('#')) continue;
    if (Trim(raw).empty()) {
      AddStanza(stanza, lines);
      key.clear();
    } else if ((raw[0] == ' ' || raw[0] == '\t') && !key.empty()) {
      stanza[key] += Cat(key == "signed-by" ? "\n" : " ", Trim(raw));
    } else if (std::size_t colon = raw.find(':'); colon != std::string::npos) {
      key = raw.substr(0, colon);
      std::transform(key.begin(), key.end(), key.begin(), [](unsigned char c) { return std::tolower(c); });
      stanza[key] = Trim(std::string_view(raw).substr(colon + 1));
    }
  }
  AddStanza(stanza, lines);
  return lines;
}

Result<std::vector<std::string>> HostAptLines(const std::string& suite, const std::string& apt_directory) {
  std::vector<std::string> all;
  auto add = [&all](std::vector<std::string> lines) {
    std::move(lines.begin(), lines.end(), std::back_inserter(all));
  };
  if (auto text = ReadFile(apt_directory + "/sources.list")) add(ParseOneLineSources(*text));
  std::vector<std::string> names;
  if (DIR* raw = ::opendir((apt_directory + "/sources.list.d").c_str())) {
    struct Close {
      void operator()(DIR* dir) const { ::closedir(dir); }
    };
    std::unique_ptr<DIR, Close> dir(raw);
    while (dirent* entry = ::readdir(raw)) names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    auto text = ReadFile(Cat(apt_directory, "/sources.list.d/", name));
    if (text && name.ends_with(".list")) add(ParseOneLineSources(*text));
    if (text && name.ends_with(".sources")) add(ParseDeb822Sources(*text));
  }
  std::vector<std::string> wanted;
  bool has_suite = false;
  for (const std::string& line : all) {
    Source source = SourceOf(line);
    // Somebody's own repository may use the same suite name; a distribution has "main".
    if (!HasMain(source)) continue;
    has_suite = has_suite || source.suite == suite;
    if (source.suite == suite || source.suite == suite + "-updates" || source.suite == suite + "-security" ||
        source.suite == suite + "/updates") {
      wanted.push_back(line);
    }
  }
  if (has_suite) return wanted;
  auto first =
      std::find_if(all.begin(), all.end(), [](const std::string& line) { return HasMain(SourceOf(line)); });
  if (first == all.end()) {
    return Fail(Code::kNotFound, "no mirror: the recipe has no MirrorURL and this host's ", apt_directory,
                " names no repository with \"main\"");
  }
  Source source = SourceOf(*first);
  return std::vector<std::string>{
      Cat("deb ", source.options, source.options.empty() ? "" : " ", source.uri, " ", suite, " main")};
}

}  // namespace slipway::build
