// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/host_rules.h"

#include "base/os/fd.h"

namespace slipway {
namespace {

// The setting's first character decides all three: "0" or not, "1" or not.
char FirstOf(const std::string& path, char where_absent) {
  auto text = ReadFile(path, 64);
  if (!text) return text.error().sys_errno == ENOENT ? where_absent : '?';
  return text->empty() ? '?' : (*text)[0];
}

}  // namespace

bool UsersMayMakeNamespaces(const std::string& sysctl_dir) {
  char clone = FirstOf(sysctl_dir + "/kernel/unprivileged_userns_clone", '1');
  char most = FirstOf(sysctl_dir + "/user/max_user_namespaces", '1');
  char restricted = FirstOf(sysctl_dir + "/kernel/apparmor_restrict_unprivileged_userns", '0');
  return clone == '1' && most >= '1' && most <= '9' && restricted == '0';
}

BirthRules RulesOfThisHost() { return {.nested_user_namespaces = UsersMayMakeNamespaces()}; }

}  // namespace slipway
