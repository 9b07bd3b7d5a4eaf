// SPDX-License-Identifier: Apache-2.0
#include "hooks/oci/hooks_d.h"

#include <dirent.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <regex>

#include "base/json/strict.h"
#include "base/os/fd.h"

namespace slipway {
namespace {

constexpr std::size_t kPatternBytesMax = 1024, kTextBytesMax = 4096, kHookFilesMax = 256;

Result<bool> Matches(const std::string& pattern, const std::string& text, const std::string& where) {
  if (pattern.size() > kPatternBytesMax) return JsonWrong(where, "too long a pattern");
  try {
    std::regex expression(pattern, std::regex::ECMAScript | std::regex::nosubs);
    return std::regex_search(text.substr(0, kTextBytesMax), expression);
  } catch (const std::regex_error&) {
    return JsonWrong(where,
                     Cat("'", pattern.substr(0, 64), "' is not a regular expression that can be used"));
  }
}

Result<bool> AnnotationsMatch(const Json& json, const HookOccasion& occasion) {
  if (!json.is_object()) return JsonWrong("when.annotations", "not an object of patterns");
  for (auto at = json.begin(); at != json.end(); ++at) {
    std::string value = TRY(JsonText(at.value(), "when.annotations"));
    bool found = false;
    for (const auto& [name, text] : occasion.annotations) {
      found = found || (TRY(Matches(at.key(), name, "when.annotations")) &&
                        TRY(Matches(value, text, "when.annotations")));
    }
    // A pattern that nobody looks at is checked all the same.
    TRY(Matches(at.key(), "", "when.annotations"));
    TRY(Matches(value, "", "when.annotations"));
    if (!found) return false;
  }
  return true;
}

Result<bool> Holds(const Json& when, const HookOccasion& occasion) {
  TRY(CheckJsonFields(when, "when", {"always", "annotations", "commands", "hasBindMounts"}));
  bool holds = true, any = false;
  if (const Json& always = JsonField(when, "always"); !always.is_null()) {
    any = true;
    holds = holds && TRY(JsonFlag(always, "when.always"));
  }
  if (const Json& binds = JsonField(when, "hasBindMounts"); !binds.is_null()) {
    any = true;
    holds = holds && TRY(JsonFlag(binds, "when.hasBindMounts")) == occasion.has_bind_mounts;
  }
  if (const Json& annotations = JsonField(when, "annotations"); !annotations.is_null()) {
    any = true;
    bool match = TRY(AnnotationsMatch(annotations, occasion));
    holds = holds && match;
  }
  if (const Json& commands = JsonField(when, "commands"); !commands.is_null()) {
    any = true;
    bool match = false;
    for (const std::string& pattern : TRY(JsonTexts(commands, "when.commands"))) {
      bool one = TRY(Matches(pattern, occasion.command, "when.commands"));
      match = match || one;
    }
    holds = holds && match;
  }
  if (!any) return JsonWrong("when", "no condition; \"always\": true is for every container");
  return holds;
}

Result<Hook> HookOf(const Json& json) {
  TRY(CheckJsonFields(json, "hook", {"path", "args", "env", "timeout"}));
  Hook hook;
  hook.path = TRY(JsonText(JsonField(json, "path"), "hook.path"));
  hook.args = TRY(JsonTexts(JsonField(json, "args"), "hook.args"));
  hook.env = TRY(JsonTexts(JsonField(json, "env"), "hook.env"));
  if (const Json& timeout = JsonField(json, "timeout"); !timeout.is_null())
    hook.timeout_s = static_cast<std::uint32_t>(TRY(JsonNumber(timeout, "hook.timeout", kHookTimeoutMax_s)));
  TRY(CheckHooks({hook}));
  return hook;
}

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// By file name, whichever folder has the word.
Result<std::map<std::string, std::string>> FilesOf(const std::vector<std::string>& folders) {
  std::map<std::string, std::string> files;
  for (const std::string& folder : folders) {
    DIR* dir = ::opendir(folder.c_str());
    if (dir == nullptr) {
      if (errno == ENOENT || errno == ENOTDIR) continue;
      return ErrnoFail("reading", folder);
    }
    while (dirent* entry = ::readdir(dir)) {
      std::string name = entry->d_name;
      if (name.ends_with(".json")) files[name] = Cat(folder, "/", name);
    }
    ::closedir(dir);
  }
  if (files.size() > kHookFilesMax)
    return Fail(Code::kResourceExhausted, "hooks.d: ", files.size(), " files; at most ", kHookFilesMax);
  return files;
}

}  // namespace

Result<std::vector<Hook>> ParseHookFile(std::string_view text, const HookOccasion& occasion) {
  Json json = TRY(ParseJson(text, kHookFileBytesMax));
  TRY(CheckJsonFields(json, "the file", {"version", "hook", "when", "stages"}));
  std::string version = TRY(JsonText(JsonField(json, "version"), "version"));
  if (version != "1.0.0")
    return JsonWrong("version", Cat("'", version.substr(0, 32), "': this program reads 1.0.0"));
  Hook hook = TRY(HookOf(JsonField(json, "hook")));
  bool holds = TRY(Holds(JsonField(json, "when"), occasion));
  std::vector<std::string> stages = TRY(JsonTexts(JsonField(json, "stages"), "stages"));
  if (stages.empty()) return JsonWrong("stages", "none");
  std::vector<Hook> hooks;
  for (const std::string& name : stages) {
    hook.stage = TRY_CONTEXT(StageNamed(name), "stages");
    hooks.push_back(hook);
  }
  if (!holds) hooks.clear();
  return hooks;
}

Result<std::vector<Hook>> HooksFor(const HookOccasion& occasion, const std::vector<std::string>& folders) {
  std::map<std::string, std::string> files = TRY(FilesOf(folders));
  std::vector<std::pair<std::string, std::string>> in_order;
  for (const auto& [name, path] : files) in_order.emplace_back(Lower(name), path);
  std::stable_sort(in_order.begin(), in_order.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Hook> hooks;
  for (const auto& [name, path] : in_order) {
    std::string text = TRY(ReadFile(path, kHookFileBytesMax));
    for (Hook& hook : TRY_CONTEXT(ParseHookFile(text, occasion), path)) hooks.push_back(std::move(hook));
  }
  TRY(CheckHooks(hooks));
  return hooks;
}

}  // namespace slipway
