// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/local_fences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/loop/sim_loop.h"

namespace slipway {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Node {
  SimLoop loop;
  std::vector<std::string> failures;
  LocalFences fences{
      loop,
      {.limit = std::chrono::seconds(30),
       .ranks_here =
           [](const std::string& world) {
             return world == "w" ? std::vector<std::uint32_t>{4, 5, 6} : std::vector<std::uint32_t>{};
           },
       .name_of = [](const PmixPeer& peer) { return Cat("rank ", peer.rank, " on n1"); },
       .fail = [this](std::string reason) { failures.push_back(std::move(reason)); }}};
  void At(int seconds) {
    while (loop.Step(MonotonicTime(std::chrono::seconds(seconds)))) {
    }
  }
};

TEST(LocalFences, NamesTheRanksHereThatAreNotInAFenceInTime) {
  Node node;
  node.fences.Entered(1, {"w", 4}, {{"w", kAllRanks}});
  EXPECT_THAT(node.fences.Outside("w"), ElementsAre(5, 6));
  node.At(29);
  EXPECT_THAT(node.failures, IsEmpty());
  node.At(31);
  EXPECT_THAT(node.failures,
              ElementsAre("a fence did not end within 30 s (--mpi-timeout); missing: rank 5 on "
                          "n1, rank 6 on n1"));
}

TEST(LocalFences, TellsFencesOfOneAnother) {
  Node node;
  node.fences.Entered(1, {"w", 4}, {{"w", 4}, {"w", 5}, {"w", 9}});
  node.fences.Entered(2, {"w", 6}, {{"w", kAllRanks}});
  node.At(20);
  node.fences.Entered(3, {"w", 5}, {{"w", 9}, {"w", 5}, {"w", 4}});
  node.fences.Left(2);
  node.At(90);
  EXPECT_THAT(node.failures, IsEmpty()) << "rank 9 is on another node, who of here takes part is there";
}

TEST(LocalFences, SaysNothingOfAFenceThatHasEnded) {
  Node node;
  node.fences.Entered(1, {"w", 4}, {{"w", kAllRanks}});
  node.fences.Left(1);
  node.At(90);
  EXPECT_THAT(node.failures, IsEmpty());
}

}  // namespace
}  // namespace slipway
