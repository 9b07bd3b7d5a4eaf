// SPDX-License-Identifier: Apache-2.0
// Who the calling user is: name, home and group, for the container's passwd, group, $HOME and default mounts.
#pragma once

#include <sys/types.h>

#include <string>

namespace slipway {

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name, group;  // "user20001" where nobody knows it
  std::string home;         // "/" where nobody knows it
  std::string shell;
};

// From /etc/passwd and /etc/group; the name service, which is slow, only for those who are not in there.
User CallingUser();

// The passwd(5) and group(5) lines, without line end.
std::string PasswdLine(const User& user);
std::string GroupLine(const User& user);

}  // namespace slipway
