// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/wanted_image.h"

#include <gtest/gtest.h>

namespace slipway::cli {
namespace {

TEST(WantedImage, HasANameOfTheCallersOwn) {
  EXPECT_EQ(OwnImageName("alice", "docker://nvcr.io/nvidia/pytorch:24.01-py3"),
            "alice/nvcr.io-nvidia-pytorch:24.01-py3");
  EXPECT_EQ(OwnImageName("Bob$", "docker://ubuntu"), "bob-/ubuntu:latest");
  EXPECT_EQ(OwnImageName("a", "oras://localhost:5000/x/y:V1"), "a/localhost-5000-x-y:V1");
  EXPECT_EQ(OwnImageName("a", "docker://localhost:5000/y"), "a/localhost-5000-y:latest");
  EXPECT_EQ(OwnImageName("a", "docker://y@sha256:0123456789abcdef"), "a/y:0123456789ab");
  EXPECT_EQ(OwnImageName("a", "docker://y:2@sha256:0123456789abcdef"), "a/y:0123456789ab");
  EXPECT_EQ(OwnImageName("a", "oci-archive:dir/x.tar"), "a/dir-x.tar:latest");
  EXPECT_LE(OwnImageName("a", "docker://" + std::string(200, 'q')).size(), 2 + 63 + 1 + 6);
}

}  // namespace
}  // namespace slipway::cli
