// SPDX-License-Identifier: Apache-2.0
#include "cli/front/security_options.h"

namespace slipway::cli {
namespace {

Result<CapabilitySet> CapabilitiesOf(const Parsed& parsed, CapabilitySet by_default) {
  if (parsed.Has("keep-privs") && parsed.Has("no-privs"))
    return Fail(Code::kInvalidArgument, "--keep-privs and --no-privs contradict each other");
  CapabilitySet kept = parsed.Has("keep-privs") ? kAllCapabilities : parsed.Has("no-privs") ? 0 : by_default;
  for (const std::string& list : parsed.List("add-caps"))
    kept |= TRY_CONTEXT(CapabilitiesNamed(list), "--add-caps");
  for (const std::string& list : parsed.List("drop-caps"))
    kept &= ~TRY_CONTEXT(CapabilitiesNamed(list), "--drop-caps");
  return kept;
}

Result<> Apply(const std::string& word, Security& security) {
  auto colon = word.find(':');
  std::string kind = word.substr(0, colon), value = colon == std::string::npos ? "" : word.substr(colon + 1);
  if (value.empty())
    return Fail(Code::kInvalidArgument, "--security '", word.substr(0, 64),
                "' is not KIND:VALUE (seccomp:FILE, seccomp:unconfined, apparmor:PROFILE, selinux:LABEL)");
  Confinement& confinement = security.confinement;
  if (kind == "seccomp") {
    bool none = value == "unconfined";
    confinement.filter = none ? Confinement::kUnconfined : Confinement::kGiven;
    security.seccomp_file = none ? std::string() : value;
  } else if (kind == "apparmor") {
    confinement.apparmor_profile = value;
  } else if (kind == "selinux") {
    confinement.selinux_label = value;
  } else if (kind == "uid" || kind == "gid") {
    return Fail(Code::kUnimplemented, "--security ", kind,
                ": a container always runs as its caller (see --fakeroot for root inside)");
  } else {
    return Fail(Code::kInvalidArgument, "--security '", kind.substr(0, 64),
                "': the kinds are seccomp, apparmor and selinux");
  }
  return {};
}

}  // namespace

std::vector<Option> SecurityOptionList() {
  return {
      {.name = "add-caps",
       .type = Option::kList,
       .value_name = "CAP,…",
       .help = "keep capabilities inside the container's own user namespace (\"all\" for every one)",
       .variables = {"ADD_CAPS"}},
      {.name = "drop-caps",
       .type = Option::kList,
       .value_name = "CAP,…",
       .help = "drop capabilities again; wins over --add-caps",
       .variables = {"DROP_CAPS"}},
      {.name = "keep-privs",
       .help = "keep every capability inside the user namespace",
       .variables = {"KEEP_PRIVS"}},
      {.name = "no-privs", .help = "keep none (the default, but for --fakeroot)", .variables = {"NO_PRIVS"}},
      {.name = "security",
       .type = Option::kList,
       .value_name = "KIND:VALUE",
       .help = "seccomp:FILE (JSON as Docker has it) or seccomp:unconfined in place of the default filter, "
               "apparmor:PROFILE, selinux:LABEL",
       .variables = {"SECURITY"}},
  };
}

Result<Security> SecurityOf(const Parsed& parsed, CapabilitySet by_default) {
  Security security;
  security.confinement.capabilities = TRY(CapabilitiesOf(parsed, by_default));
  for (const std::string& word : parsed.List("security")) TRY(Apply(word, security));
  return security;
}

}  // namespace slipway::cli
