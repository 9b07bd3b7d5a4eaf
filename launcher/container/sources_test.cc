// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/sources.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace slipway {
namespace {

TEST(RefuseNodesImages, WhateverThePathWas) {
  std::string path = *MakeTempDirectory("/tmp", "slipway-sources-test-");
  ASSERT_TRUE(MakeDirectories(path + "/images/theirs/opt"));
  ASSERT_TRUE(MakeDirectories(path + "/images/ours"));
  ASSERT_EQ(::symlink("images/theirs", (path + "/link").c_str()), 0);
  Birth brokered{.image_path = path + "/images/ours"};
  for (const char* name : {"/images", "/images/theirs", "/images/theirs/opt", "/link", "/link/opt"}) {
    UniqueFd fd = std::move(*Open(path + name, O_PATH));
    auto refused = RefuseNodesImages(fd.get(), name, brokered);
    ASSERT_FALSE(refused) << name;
    EXPECT_THAT(refused.error().message, testing::HasSubstr("among the node's image mounts"));
    EXPECT_TRUE(RefuseNodesImages(fd.get(), name, {})) << name;
  }
  UniqueFd outside = std::move(*Open(path, O_PATH));
  EXPECT_TRUE(RefuseNodesImages(outside.get(), path, brokered));
  ASSERT_TRUE(RemoveTree(path));
}

}  // namespace
}  // namespace slipway
