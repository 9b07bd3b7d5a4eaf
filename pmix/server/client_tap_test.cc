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

// libpmix 4.2 ends a fence within the node once for each rank that it sees go in one turn of its loop.
TEST_F(ClientTapOf, OfRanksThatGoTogetherLibpmixSeesOneATurn) {
  std::vector<int> going = {5, 6, 7};
  for (int fd : going) Connect(fd, static_cast<std::uint32_t>(fd));
  std::size_t seen_at_most = 0;
  for (int turn = 0; !going.empty(); ++turn) {
    ASSERT_LT(turn, 8);
    std::size_t seen = 0;
    for (int fd : std::vector<int>(going)) {
      if (!tap_.MayEnd(fd)) continue;
      End(fd);
      std::erase(going, fd);
      ++seen;
    }
    seen_at_most = std::max(seen_at_most, seen);
  }
  EXPECT_EQ(seen_at_most, 1U);
  EXPECT_EQ(Lost(), (std::vector<std::uint32_t>{5, 6, 7}));
}

// The last rank of a fence enters it, and one that waits in it goes.
TEST_F(ClientTapOf, AnEndIsNotSeenInATurnInWhichAMessageWas) {
  Connect(5, 1);
  Connect(6, 2);
  char message[] = "anything";
  for (int turn = 0; turn < 3; ++turn) {
    tap_.Received(6, message, sizeof message);
    EXPECT_FALSE(tap_.MayEnd(5));
  }
  EXPECT_TRUE(tap_.MayEnd(5));
}

TEST_F(ClientTapOf, AnEndIsSeenAtLastWhateverOthersSend) {
  Connect(5, 1);
  Connect(6, 2);
  char message[] = "anything";
  int turns = 0;
  for (; turns < 10000 && !tap_.MayEnd(5); ++turns) tap_.Received(6, message, sizeof message);
  EXPECT_LT(turns, 10000);
}

TEST_F(ClientTapOf, WhoHasFinalizedMayEndAtOnce) {
  Connect(5, 1);
  tap_.Finalized({.nspace = "ns", .rank = 1});
  EXPECT_TRUE(tap_.MayEnd(5));
}

TEST_F(ClientTapOf, ACallerWhoNeverSaidWhoHeIsIsNobodyThatCouldBeLost) {
  tap_.Opened(5);
  End(5);
  EXPECT_TRUE(Lost().empty());
}

}  // namespace
}  // namespace slipway
