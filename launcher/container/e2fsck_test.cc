// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/e2fsck.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

std::string Superblock(unsigned state, unsigned features) {
  std::string bytes(1024, '\0');
  bytes[58] = static_cast<char>(state);
  bytes[96] = static_cast<char>(features);
  return bytes;
}

TEST(ExtWantsCheck, UnlessItWasClosedWithoutErrorsAndJournal) {
  EXPECT_FALSE(ExtWantsCheck(Superblock(1, 2)));
  EXPECT_TRUE(ExtWantsCheck(Superblock(0, 2)));      // not closed
  EXPECT_TRUE(ExtWantsCheck(Superblock(1 | 2, 2)));  // errors
  EXPECT_TRUE(ExtWantsCheck(Superblock(1, 4)));      // a journal to replay
}

TEST(ExtWantsCheck, NeverReadsBeyondWhatThereIs) {
  for (std::size_t size : {0, 58, 96, 1023}) EXPECT_FALSE(ExtWantsCheck(Superblock(0, 4).substr(0, size)));
}

}  // namespace
}  // namespace slipway
