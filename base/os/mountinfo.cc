// SPDX-License-Identifier: Apache-2.0
#include "base/os/mountinfo.h"

namespace slipway {
namespace {

// The next word and what is behind it.
std::string_view Take(std::string_view& line) {
  std::size_t end = line.find(' ');
  std::string_view word = line.substr(0, end);
  line.remove_prefix(end == line.npos ? line.size() : end + 1);
  return word;
}

}  // namespace

std::vector<MountLine> ParseMountinfo(std::string_view text) {
  std::vector<MountLine> mounts;
  while (!text.empty()) {
    std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    std::size_t behind = line.find(" - ");
    if (behind == line.npos) continue;
    std::string_view front = line.substr(0, behind), back = line.substr(behind + 3);
    MountLine mount;
    Take(front), Take(front);
    mount.device = Take(front), mount.root = Take(front), mount.point = Take(front);
    mount.type = Take(back), Take(back);
    mount.super_options = Take(back);
    if (!mount.point.empty() && !mount.type.empty()) mounts.push_back(mount);
  }
  return mounts;
}

std::string CgroupMountIn(std::string_view mountinfo) {
  for (const MountLine& mount : ParseMountinfo(mountinfo)) {
    if (mount.type == "cgroup2") return std::string(mount.point);
  }
  return {};
}

}  // namespace slipway
