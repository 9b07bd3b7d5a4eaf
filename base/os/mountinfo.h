// SPDX-License-Identifier: Apache-2.0
// What is mounted where, as the kernel says it: /proc/PID/mountinfo has a line for each mount, "id parent
// device root point options tags… - type source options" (proc_pid_mountinfo(5)). Blanks in it are written as
// \040 and left so here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace slipway {

struct MountLine {
  std::string_view device;         // of the file system, "8:1"
  std::string_view root;           // the folder of it that is mounted
  std::string_view point;          // where
  std::string_view type;           // "ext4"
  std::string_view super_options;  // of the file system, not of this mount of it: "rw,errors=remount-ro"
};

// In the order of the text, into which they point; lines that are not whole are left out.
std::vector<MountLine> ParseMountinfo(std::string_view text);

// Where the first cgroup2 hierarchy is mounted; empty: nowhere.
std::string CgroupMountIn(std::string_view mountinfo);

}  // namespace slipway
