// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/client_tap.h"

#include <gtest/gtest.h>

#include "base/loop/sim_loop.h"

namespace slipway {
namespace {

class ClientTapOf : public ::testing::Test {
 protected:
  void Connect(int fd, std::uint32_t rank) {
    tap_.Opened(fd);
    tap_.Named(fd, {.nspace = "ns", .rank = rank});
  }
  void End(int fd) { tap_.Received(fd, nullptr, 0); }
  std::vector<std::uint32_t> Lost() {
    loop_.Run();
    return std::exchange(lost_, {});
  }

  SimLoop loop_;
  std::vector<std::uint32_t> lost_;
  ClientTap tap_{loop_, {.lost = [this](const PmixPeer& peer) { lost_.push_back(peer.rank); }}, false};
};

// The step failed to fail where libpmix's own word came behind the end of the fence.
TEST_F(ClientTapOf, ARankThatIsGoneSaysSoBeforeLibpmixCanEndAFenceWithoutIt) {
  Connect(5, 3);
  Connect(6, 2);
  End(5);
  EXPECT_EQ(Lost(), std::vector<std::uint32_t>{3});
}

TEST_F(ClientTapOf, ARankThatHasFinalizedIsNotLost) {
  Connect(5, 3);
  tap_.Finalized({.nspace = "ns", .rank = 3});
  End(5);
  EXPECT_TRUE(Lost().empty());
  Connect(5, 3);  // MPI_Init again
  End(5);
  EXPECT_EQ(Lost(), std::vector<std::uint32_t>{3});
}

TEST_F(ClientTapOf, ARankIsNotLostWithAChildOfItsThatSpokeInItsName) {
  Connect(5, 3);
  Connect(6, 3);
  End(6);
  EXPECT_TRUE(Lost().empty());
  End(5);
  EXPECT_EQ(Lost(), std::vector<std::uint32_t>{3});
}

TEST_F(ClientTapOf, ACallerWhoNeverSaidWhoHeIsIsNobodyThatCouldBeLost) {
  tap_.Opened(5);
  End(5);
  EXPECT_TRUE(Lost().empty());
}

}  // namespace
}  // namespace slipway
