// SPDX-License-Identifier: Apache-2.0
// The form of Docker's default.json and of containers/common's seccomp.json; the OCI runtime specification's
// is a part of it.
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <limits>

#include "base/json/strict.h"
#include "launcher/seccomp/profile.h"

namespace slipway {
namespace {

constexpr std::size_t kRulesMax = 4096, kTestsMax = 6;

// The errno of "errnoRet" (a number) or "errno" (its name, containers/common's; only the usual two).
Result<std::uint16_t> ErrnoOf(const Json& object, const char* number, const char* name,
                              std::string_view where) {
  if (object.contains(number) && !object[number].is_null())
    return static_cast<std::uint16_t>(TRY(JsonNumber(object[number], Cat(where, ".", number), 4095)));
  if (!object.contains(name)) return static_cast<std::uint16_t>(EPERM);
  std::string text = TRY(JsonText(object[name], Cat(where, ".", name)));
  for (int candidate = 1; candidate < 134; ++candidate) {
    const char* known = ::strerrorname_np(candidate);
    if (known != nullptr && text == known) return static_cast<std::uint16_t>(candidate);
  }
  return JsonWrong(Cat(where, ".", name), Cat("unknown error name '", text.substr(0, 64), "'"));
}

Result<SeccompAction> ActionOf(const std::string& name, std::uint16_t data, std::string_view where) {
  constexpr std::pair<std::string_view, SeccompAction::Kind> kActions[] = {
      {"SCMP_ACT_ALLOW", SeccompAction::kAllow},
      {"SCMP_ACT_ERRNO", SeccompAction::kErrno},
      {"SCMP_ACT_KILL", SeccompAction::kKillThread},
      {"SCMP_ACT_KILL_THREAD", SeccompAction::kKillThread},
      {"SCMP_ACT_KILL_PROCESS", SeccompAction::kKillProcess},
      {"SCMP_ACT_TRAP", SeccompAction::kTrap},
      {"SCMP_ACT_TRACE", SeccompAction::kTrace},
      {"SCMP_ACT_LOG", SeccompAction::kLog}};
  for (const auto& [known, kind] : kActions) {
    bool takes_data = kind == SeccompAction::kErrno || kind == SeccompAction::kTrace;
    if (name == known) return SeccompAction{kind, takes_data ? data : std::uint16_t{0}};
  }
  if (name == "SCMP_ACT_NOTIFY")
    return JsonWrong(where, "SCMP_ACT_NOTIFY needs a process that listens, which a container here has not");
  return JsonWrong(where, Cat("unknown action '", name.substr(0, 64), "'"));
}

Result<SeccompTest> TestOf(const Json& json, const std::string& where) {
  TRY(CheckJsonFields(json, where, {"index", "value", "valueTwo", "op"}));
  constexpr std::pair<std::string_view, SeccompTest::Operator> kOperators[] = {
      {"SCMP_CMP_NE", SeccompTest::kNotEqual},          {"SCMP_CMP_LT", SeccompTest::kLess},
      {"SCMP_CMP_LE", SeccompTest::kLessOrEqual},       {"SCMP_CMP_EQ", SeccompTest::kEqual},
      {"SCMP_CMP_GE", SeccompTest::kGreaterOrEqual},    {"SCMP_CMP_GT", SeccompTest::kGreater},
      {"SCMP_CMP_MASKED_EQ", SeccompTest::kMaskedEqual}};
  constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();
  for (const char* needed : {"index", "value", "op"}) {
    if (!json.contains(needed)) return JsonWrong(where, Cat("no \"", needed, "\""));
  }
  SeccompTest test;
  test.index = static_cast<std::uint32_t>(TRY(JsonNumber(json["index"], where + ".index", 5)));
  test.value = TRY(JsonNumber(json["value"], where + ".value", kAny));
  if (json.contains("valueTwo"))
    test.value_two = TRY(JsonNumber(json["valueTwo"], where + ".valueTwo", kAny));
  std::string op = TRY(JsonText(json["op"], where + ".op"));
  for (const auto& [name, known] : kOperators) {
    if (op != name) continue;
    test.op = known;
    return test;
  }
  return JsonWrong(where + ".op", Cat("unknown operator '", op.substr(0, 64), "'"));
}

struct Filter {  // of "includes" or "excludes"
  bool given = false, holds = true;
};

Result<Filter> Judge(const Json& rule, const char* name, bool any_is_enough, const SeccompSite& site,
                     const std::string& where) {
  Filter filter;
  if (!rule.contains(name) || rule[name].is_null() || rule[name].empty()) return filter;
  const Json& json = rule[name];
  std::string here = Cat(where, ".", name);
  TRY(CheckJsonFields(json, here, {"caps", "arches", "minKernel"}));
  std::vector<bool> conditions;
  if (json.contains("arches")) {
    auto arches = TRY(JsonTexts(json["arches"], here + ".arches"));
    if (!arches.empty())
      conditions.push_back(std::find(arches.begin(), arches.end(), site.architecture) != arches.end());
  }
  if (json.contains("caps")) {
    for (const std::string& cap : TRY(JsonTexts(json["caps"], here + ".caps"))) {
      auto bit = CapabilityNamed(cap);
      if (!bit) return Failure(std::move(bit).error().Context(here + ".caps"));
      conditions.push_back((site.capabilities & *bit) != 0);
    }
  }
  if (json.contains("minKernel")) {
    std::string text = TRY(JsonText(json["minKernel"], here + ".minKernel"));
    unsigned major = 0, minor = 0;
    if (std::sscanf(text.c_str(), "%u.%u", &major, &minor) != 2)
      return JsonWrong(here + ".minKernel", Cat("'", text.substr(0, 32), "' is not MAJOR.MINOR"));
    conditions.push_back(std::pair(site.kernel_major, site.kernel_minor) >= std::pair(major, minor));
  }
  filter.given = !conditions.empty();
  auto holds = [](bool condition) { return condition; };
  filter.holds = any_is_enough ? std::any_of(conditions.begin(), conditions.end(), holds)
                               : std::all_of(conditions.begin(), conditions.end(), holds);
  return filter;
}

class Reader {
 public:
  explicit Reader(const SeccompSite& site) : site_(site) {}

  Result<ParsedProfile> Read(const Json& json) {
    TRY(CheckJsonFields(json, "the profile",
                        {"defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap",
                         "flags", "listenerPath", "listenerMetadata", "syscalls"}));
    if (!json.contains("defaultAction")) return JsonWrong("the profile", "no \"defaultAction\"");
    SeccompProfile& profile = parsed_.profile;
    profile.otherwise =
        TRY(ActionOf(TRY(JsonText(json["defaultAction"], "defaultAction")),
                     TRY(ErrnoOf(json, "defaultErrnoRet", "defaultErrno", "the profile")), "defaultAction"));
    TRY(ReadArchitectures(json));
    TRY(ReadFlags(json));
    if (json.contains("syscalls") && !json["syscalls"].is_null()) {
      const Json& rules = json["syscalls"];
      if (!rules.is_array() || rules.size() > kRulesMax) return JsonWrong("syscalls", "not a list of rules");
      for (std::size_t i = 0; i < rules.size(); ++i) TRY(ReadRule(rules[i], Cat("syscalls[", i, "]")));
    }
    if (!unknown_.empty())
      parsed_.warnings.push_back(
          Cat("system calls that this libseccomp does not know stay as the default has them:", unknown_));
    return std::move(parsed_);
  }

 private:
  static std::string SeccompName(std::string_view oci) {  // "SCMP_ARCH_X86_64" → "x86_64"
    if (oci.starts_with("SCMP_ARCH_")) oci.remove_prefix(10);
    std::string name(oci);
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return name;
  }

  Result<> ReadArchitectures(const Json& json) {
    auto& into = parsed_.profile.architectures;
    if (json.contains("architectures")) {
      for (const std::string& name : TRY(JsonTexts(json["architectures"], "architectures")))
        into.push_back(SeccompName(name));
    }
    if (!json.contains("archMap") || json["archMap"].is_null()) return {};
    if (!json["archMap"].is_array()) return JsonWrong("archMap", "not a list");
    for (const Json& entry : json["archMap"]) {
      TRY(CheckJsonFields(entry, "archMap", {"architecture", "subArchitectures"}));
      if (!entry.contains("architecture")) return JsonWrong("archMap", "no \"architecture\"");
      std::string native = SeccompName(TRY(JsonText(entry["architecture"], "archMap.architecture")));
      if (native != NativeName()) continue;
      if (!entry.contains("subArchitectures")) continue;
      for (const std::string& name : TRY(JsonTexts(entry["subArchitectures"], "archMap.subArchitectures")))
        into.push_back(SeccompName(name));
    }
    return {};
  }

  std::string_view NativeName() const {
    constexpr std::pair<std::string_view, std::string_view> kNames[] = {{"amd64", "x86_64"},
                                                                        {"arm64", "aarch64"}};
    for (const auto& [go, seccomp] : kNames) {
      if (site_.architecture == go) return seccomp;
    }
    return site_.architecture;
  }

  Result<> ReadFlags(const Json& json) {
    if (json.contains("listenerPath") || json.contains("listenerMetadata"))
      return JsonWrong("listenerPath", "a container here has no listener");
    if (!json.contains("flags")) return {};
    for (const std::string& flag : TRY(JsonTexts(json["flags"], "flags"))) {
      // One thread installs it; speculation is left as outside in any case.
      if (flag != "SECCOMP_FILTER_FLAG_TSYNC" && flag != "SECCOMP_FILTER_FLAG_SPEC_ALLOW")
        return JsonWrong("flags", Cat("'", flag.substr(0, 64), "' is not supported"));
    }
    return {};
  }

  Result<> ReadRule(const Json& json, const std::string& where) {
    TRY(CheckJsonFields(
        json, where,
        {"names", "name", "action", "errnoRet", "errno", "args", "comment", "includes", "excludes"}));
    SeccompRule rule;
    if (json.contains("names")) rule.names = TRY(JsonTexts(json["names"], where + ".names"));
    if (json.contains("name")) rule.names.push_back(TRY(JsonText(json["name"], where + ".name")));
    if (rule.names.empty()) return JsonWrong(where, "names no system call");
    if (!json.contains("action")) return JsonWrong(where, "no \"action\"");
    rule.action = TRY(ActionOf(TRY(JsonText(json["action"], where + ".action")),
                               TRY(ErrnoOf(json, "errnoRet", "errno", where)), where + ".action"));
    if (json.contains("args") && !json["args"].is_null()) {
      if (!json["args"].is_array() || json["args"].size() > kTestsMax)
        return JsonWrong(where + ".args", Cat("not a list of at most ", kTestsMax));
      for (const Json& test : json["args"]) rule.tests.push_back(TRY(TestOf(test, where + ".args")));
    }
    Filter includes = TRY(Judge(json, "includes", false, site_, where));
    Filter excludes = TRY(Judge(json, "excludes", true, site_, where));
    TRY(DropUnknown(rule, where));
    bool applies = includes.holds && !(excludes.given && excludes.holds);
    if (applies && !rule.names.empty()) parsed_.profile.rules.push_back(std::move(rule));
    return {};
  }

  Result<> DropUnknown(SeccompRule& rule, const std::string& where) {
    bool only_widens = rule.action.kind == SeccompAction::kAllow &&
                       parsed_.profile.otherwise.kind != SeccompAction::kAllow &&
                       parsed_.profile.otherwise.kind != SeccompAction::kLog;
    for (auto name = rule.names.begin(); name != rule.names.end();) {
      if (IsSystemCall(*name)) {
        ++name;
        continue;
      }
      std::string shown = name->substr(0, 64);
      if (!only_widens) return JsonWrong(where, Cat("unknown system call '", shown, "'"));
      if (unknown_.size() < 1024) unknown_ += Cat(" ", shown);
      name = rule.names.erase(name);
    }
    return {};
  }

  const SeccompSite& site_;
  ParsedProfile parsed_;
  std::string unknown_;
};

}  // namespace

SeccompSite ThisNode(CapabilitySet capabilities) {
  SeccompSite site{.capabilities = capabilities};
  utsname node{};
  ::uname(&node);
  std::string machine = node.machine;
  site.architecture = machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : machine;
  std::sscanf(node.release, "%u.%u", &site.kernel_major, &site.kernel_minor);
  return site;
}

Result<ParsedProfile> ParseSeccompJson(std::string_view text, const SeccompSite& site) {
  return Reader(site).Read(TRY(ParseJson(text, kSeccompJsonBytesMax)));
}

}  // namespace slipway
