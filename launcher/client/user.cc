// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/user.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "base/os/fd.h"
#include "base/text/text.h"

namespace slipway {
namespace {

// The entry of /etc/`file` whose third field is `id`.
std::optional<std::vector<std::string>> LocalEntry(const char* file, unsigned id, std::size_t fields) {
  auto text = ReadFile(file);
  if (!text) return std::nullopt;
  std::string wanted = std::to_string(id);
  for (std::size_t start = 0; start < text->size();) {
    auto end = text->find('\n', start);
    if (end == std::string::npos) end = text->size();
    std::vector<std::string> entry = Split(std::string_view(*text).substr(start, end - start), ':');
    if (entry.size() == fields && entry[2] == wanted) return entry;
    start = end + 1;
  }
  return std::nullopt;
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
  if (auto entry = LocalEntry("/etc/passwd", user.uid, 7)) {
    user.name = (*entry)[0];
    user.home = (*entry)[5];
    user.shell = (*entry)[6];
  } else if (passwd* known = ::getpwuid(user.uid); known != nullptr) {
    user.name = known->pw_name;
    user.home = known->pw_dir;
    user.shell = known->pw_shell;
  }
  if (auto entry = LocalEntry("/etc/group", user.gid, 4)) {
    user.group = (*entry)[0];
  } else if (group* known = ::getgrgid(user.gid); known != nullptr) {
    user.group = known->gr_name;
  }
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
