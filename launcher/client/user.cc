// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/user.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/os/fd.h"
#include "base/os/process.h"
#include "base/text/text.h"

namespace slipway {
namespace {

using Entry = std::optional<std::vector<std::string>>;

Entry EntryIn(const std::string& text, unsigned id, std::size_t fields) {
  std::string wanted = std::to_string(id);
  for (std::size_t start = 0; start < text.size();) {
    auto end = std::min(text.find('\n', start), text.size());
    std::vector<std::string> entry = Split(std::string_view(text).substr(start, end - start), ':');
    if (entry.size() == fields && entry[2] == wanted) return entry;
    start = end + 1;
  }
  return std::nullopt;
}

// The entry of `database` (passwd, group) whose third field is `id`. What lies behind the name service (SSSD,
// LDAP) is the host's libraries, which a static program should not load: getent(1) asks it.
Entry EntryOf(const std::string& database, unsigned id, std::size_t fields) {
  if (auto text = ReadFile("/etc/" + database)) {
    if (Entry local = EntryIn(*text, id, fields)) return local;
  }
  auto asked = RunAndCapture({.argv = {"/usr/bin/getent", database, std::to_string(id)}});
  return asked && asked->status.wait_status == 0 ? EntryIn(asked->out, id, fields) : std::nullopt;
}

std::string Field(std::string text) {
  for (char& c : text) {
    if (c == ':' || c == '\n') c = '_';
  }
  return text;
}

}  // namespace

User CallingUser() {
  User user;
  user.uid = ::getuid();
  user.gid = ::getgid();
  if (Entry entry = EntryOf("passwd", user.uid, 7)) {
    user.name = (*entry)[0];
    user.home = (*entry)[5];
    user.shell = (*entry)[6];
  }
  if (Entry entry = EntryOf("group", user.gid, 4)) user.group = (*entry)[0];
  if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') user.home = home;
  if (user.name.empty()) user.name = Cat("user", user.uid);
  if (user.group.empty()) user.group = Cat("group", user.gid);
  if (user.home.empty() || user.home[0] != '/') user.home = "/";
  if (user.shell.empty()) user.shell = "/bin/sh";
  return user;
}

std::string PasswdLine(const User& user) {
  return Cat(Field(user.name), ":x:", user.uid, ":", user.gid, "::", Field(user.home), ":",
             Field(user.shell));
}

std::string GroupLine(const User& user) { return Cat(Field(user.group), ":x:", user.gid, ":"); }

}  // namespace slipway
