// SPDX-License-Identifier: Apache-2.0
#include "base/os/cgroup.h"

#include <sstream>

#include "base/os/fd.h"

namespace slipway {

// Where cgroup2 is mounted whole: mountinfo's fields are "id parent dev root mountpoint … - type source
// options".
Result<std::string> CgroupMount() {
  std::istringstream lines(TRY(ReadFile("/proc/self/mountinfo")));
  for (std::string line; std::getline(lines, line);) {
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    std::istringstream fields(line);
    std::string id, parent, device, root, point;
    fields >> id >> parent >> device >> root >> point;
    if (root == "/") return point;
  }
  return Fail(Code::kNotFound, "no cgroup v2 hierarchy is mounted");
}

Result<std::string> OwnCgroup() {
  std::istringstream lines(TRY(ReadFile("/proc/self/cgroup")));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("0::/")) return line.substr(3);
  }
  return Fail(Code::kNotFound, "this process is in no cgroup v2");
}

}  // namespace slipway
