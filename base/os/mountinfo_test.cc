// SPDX-License-Identifier: Apache-2.0
#include "base/os/mountinfo.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/os/fd.h"

namespace slipway {
namespace {

TEST(Mountinfo, EachMountIsReadWithAnyNumberOfTags) {
  auto mounts = ParseMountinfo(
      "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue\n"
      "37 35 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw,nsdelegate\n"
      "38 35 0:27 / /with\\040blank rw shared:9 - tmpfs  rw\n");
  ASSERT_EQ(mounts.size(), 3U);
  EXPECT_EQ(mounts[0].device, "98:0");
  EXPECT_EQ(mounts[0].root, "/mnt1");
  EXPECT_EQ(mounts[0].point, "/mnt2");
  EXPECT_EQ(mounts[0].type, "ext3");
  EXPECT_EQ(mounts[0].super_options, "rw,errors=continue");
  EXPECT_EQ(mounts[1].type, "cgroup2");
  EXPECT_EQ(mounts[2].point, "/with\\040blank") << "a source may be empty";
  EXPECT_EQ(mounts[2].super_options, "rw");
}

TEST(Mountinfo, WhatIsNoLineOfItIsLeftOut) {
  for (const char* text :
       {"", "\n\n", " - ", "36 35 8:1 / /point rw", "36 35 8:1 - ext4 a b", "a - b - c", "- - - - - -"})
    EXPECT_TRUE(ParseMountinfo(text).empty()) << text;
  EXPECT_EQ(ParseMountinfo("rubbish\n36 35 8:1 / / rw - ext4 a rw").size(), 1U) << "without an end of line";
}

TEST(Mountinfo, TheMountsOfThisProcessAreRead) {
  std::string text = ReadFile("/proc/self/mountinfo").value();
  auto mounts = ParseMountinfo(text);
  EXPECT_EQ(mounts.size(), static_cast<std::size_t>(std::ranges::count(text, '\n')));
  EXPECT_TRUE(std::ranges::any_of(mounts, [](const MountLine& mount) { return mount.point == "/"; }));
}

TEST(Mountinfo, TheFirstCgroup2MountIsFoundOrNone) {
  EXPECT_EQ(CgroupMountIn("1 0 0:1 / /a rw - cgroup cgroup rw\n2 0 0:2 / /b rw - cgroup2 x rw\n"), "/b");
  EXPECT_EQ(CgroupMountIn("1 0 0:1 / /a rw - cgroup cgroup rw\n"), "");
}

}  // namespace
}  // namespace slipway
