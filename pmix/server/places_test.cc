// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/places.h"

#include <gtest/gtest.h>

#include <cstring>

namespace slipway {
namespace {

class Participation : public ::testing::Test {
 protected:
  // Four ranks on two nodes, and two that one of them spawned onto the second.
  std::optional<Participants> On(std::uint32_t here, const std::vector<pmix_proc_t>& procs) {
    Places places;
    places.SetNodes(here, 2);
    places.Add("ns", {0, 0, 1, 1});
    places.Add("ns.1", {1, 1});
    return places.ParticipantsOf(procs.data(), procs.size());
  }
};

pmix_proc_t Proc(const char* nspace, pmix_rank_t rank) {
  pmix_proc_t proc{};
  std::strncpy(proc.nspace, nspace, sizeof proc.nspace - 1);
  proc.rank = rank;
  return proc;
}

TEST_F(Participation, IsSpeltAlikeHoweverItIsNamed) {
  auto all = On(0, {Proc("ns", PMIX_RANK_WILDCARD)});
  auto same = On(1, {Proc("ns", 3), Proc("ns", 0), Proc("ns", 2), Proc("ns", 1)});
  ASSERT_TRUE(all && same);
  EXPECT_EQ(all->members, same->members);
  EXPECT_EQ(all->nodes, (std::vector<std::uint32_t>{0, 1}));
  EXPECT_EQ(same->nodes, all->nodes);
}

TEST_F(Participation, CanBeOfSomeOfTheRanks) {
  auto who = On(1, {Proc("ns", 3), Proc("ns", 2)});
  ASSERT_TRUE(who);
  EXPECT_EQ(who->nodes, (std::vector<std::uint32_t>{1}));
  EXPECT_EQ(who->members, "ns:2,3,;");
  EXPECT_FALSE(On(0, {Proc("ns", 3), Proc("ns", 2)}));  // none of them is here
}

TEST_F(Participation, CanBeOfSeveralWorldsInAnyOrder) {
  auto one = On(0, {Proc("ns", 0), Proc("ns.1", PMIX_RANK_WILDCARD)});
  auto other = On(1, {Proc("ns.1", 1), Proc("ns.1", 0), Proc("ns", 0)});
  ASSERT_TRUE(one && other);
  EXPECT_EQ(one->members, "ns:0,;ns.1:*;");
  EXPECT_EQ(one->members, other->members);
  EXPECT_EQ(one->nodes, (std::vector<std::uint32_t>{0, 1}));
}

TEST_F(Participation, IsOfRanksOfThisStepOnly) {
  EXPECT_FALSE(On(0, {Proc("other", 0)}));
  EXPECT_FALSE(On(0, {Proc("ns", 0), Proc("other", 0)}));
  EXPECT_FALSE(On(0, {Proc("ns", 4)}));
  EXPECT_FALSE(On(0, {}));
}

TEST(Places, AreForgottenWithTheirWorld) {
  Places places;
  places.SetNodes(0, 1);
  places.Add("ns", {0});
  EXPECT_EQ(places.NodeOf(Proc("ns", 0)), 0U);
  EXPECT_FALSE(places.NodeOf(Proc("ns", 1)));
  places.Remove("ns");
  EXPECT_FALSE(places.Knows("ns"));
}

}  // namespace
}  // namespace slipway
