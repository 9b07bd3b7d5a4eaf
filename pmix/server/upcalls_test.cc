// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/upcalls.h"

#include <gtest/gtest.h>

#include <cstring>

namespace slipway {
namespace {

RankPlaces FourOnTwo(std::uint32_t here) {
  return {.nspace = "ns", .node_of = {0, 0, 1, 1}, .node_index = here, .node_count = 2};
}

pmix_proc_t Proc(const char* nspace, pmix_rank_t rank) {
  pmix_proc_t proc{};
  std::strncpy(proc.nspace, nspace, sizeof proc.nspace - 1);
  proc.rank = rank;
  return proc;
}

TEST(Participants, AreSpeltAlikeHoweverTheyAreNamed) {
  std::vector<pmix_proc_t> wildcard{Proc("ns", PMIX_RANK_WILDCARD)};
  std::vector<pmix_proc_t> each{Proc("ns", 3), Proc("ns", 0), Proc("ns", 2), Proc("ns", 1)};
  auto all = ParticipantsOf(FourOnTwo(0), wildcard.data(), wildcard.size());
  auto same = ParticipantsOf(FourOnTwo(1), each.data(), each.size());
  ASSERT_TRUE(all && same);
  EXPECT_EQ(all->members, same->members);
  EXPECT_EQ(all->nodes, (std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(same->nodes, all->nodes);
}

TEST(Participants, CanBeSomeOfTheRanks) {
  std::vector<pmix_proc_t> some{Proc("ns", 3), Proc("ns", 2)};
  auto who = ParticipantsOf(FourOnTwo(1), some.data(), some.size());
  ASSERT_TRUE(who);
  EXPECT_EQ(who->nodes, (std::vector<std::uint32_t>{1}));
  EXPECT_EQ(who->members, "2,3,");
  EXPECT_FALSE(ParticipantsOf(FourOnTwo(0), some.data(), some.size()));  // none of them is here
}

TEST(Participants, AreRanksOfThisStepOnly) {
  std::vector<pmix_proc_t> foreign{Proc("other", 0)}, beyond{Proc("ns", 4)};
  EXPECT_FALSE(ParticipantsOf(FourOnTwo(0), foreign.data(), 1));
  EXPECT_FALSE(ParticipantsOf(FourOnTwo(0), beyond.data(), 1));
  EXPECT_FALSE(ParticipantsOf(FourOnTwo(0), nullptr, 0));
}

}  // namespace
}  // namespace slipway
