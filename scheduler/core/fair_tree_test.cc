// SPDX-License-Identifier: Apache-2.0
// Fair Tree's rules, on trees small enough to be ranked by hand.
#include "scheduler/core/fair_tree.h"

#include <gtest/gtest.h>

namespace slipway::scheduler {
namespace {

struct Tree {
  State state;
  Tree() { state.accounts["root"] = {"root", "", 1, "", {}}; }
  Tree& Add(const std::string& name, std::uint32_t shares, const std::string& parent = "root") {
    state.accounts[name] = {name, parent, shares, "", {}};
    return *this;
  }
  Tree& User(const std::string& account, std::uint32_t uid, std::uint64_t usage, std::uint32_t shares = 1) {
    state.associations[{account, uid}] = {Cat('u', uid), shares, false, false, {}};
    state.usage[{account, uid}] = usage;
    return *this;
  }
  std::uint32_t RankOf(const std::string& account, std::uint32_t uid) const {
    return ComputeFairTree(state).users.at({account, uid}).rank;
  }
};

TEST(FairTree, WhoUsedLessOfHisShareComesFirst) {
  Tree tree;
  tree.Add("a", 1).User("a", 1, 100).User("a", 2, 50).User("a", 3, 0).User("a", 4, 100, 4);
  EXPECT_EQ(tree.RankOf("a", 3), 4U) << "nothing used";
  EXPECT_EQ(tree.RankOf("a", 4), 3U) << "100 of 4 shares";
  EXPECT_EQ(tree.RankOf("a", 2), 2U);
  EXPECT_EQ(tree.RankOf("a", 1), 1U);
}

TEST(FairTree, AllUsersOfABetterAccountComeBeforeThoseOfTheNext) {
  Tree tree;
  tree.Add("light", 1).Add("heavy", 1);
  tree.User("light", 1, 90).User("light", 2, 1).User("heavy", 3, 0).User("heavy", 4, 900);
  EXPECT_EQ(tree.RankOf("light", 2), 4U);
  EXPECT_EQ(tree.RankOf("light", 1), 3U) << "before a user of the other account who used nothing";
  EXPECT_EQ(tree.RankOf("heavy", 3), 2U);
  EXPECT_EQ(tree.RankOf("heavy", 4), 1U);
}

TEST(FairTree, EqualUsersShareARankAndEqualAccountsAreMerged) {
  Tree tree;
  tree.Add("a", 1).Add("b", 1).User("a", 1, 10).User("a", 2, 20).User("b", 3, 10).User("b", 4, 20);
  EXPECT_EQ(tree.RankOf("a", 1), 4U);
  EXPECT_EQ(tree.RankOf("b", 3), 4U);
  EXPECT_EQ(tree.RankOf("a", 2), 2U);
  EXPECT_EQ(tree.RankOf("b", 4), 2U);
}

TEST(FairTree, AUserWhoEqualsAnAccountHasItsBestRank) {
  Tree tree;
  tree.Add("a", 1).User("root", 9, 30).User("a", 1, 10).User("a", 2, 20);
  EXPECT_EQ(tree.RankOf("root", 9), 3U);
  EXPECT_EQ(tree.RankOf("a", 1), 2U);
  EXPECT_EQ(tree.RankOf("a", 2), 1U);
}

TEST(FairTree, NoShareComesLastAndDeepTreesAreSummedUp) {
  Tree tree;
  tree.Add("a", 3).Add("a1", 1, "a").Add("a2", 1, "a").Add("b", 1);
  tree.User("a1", 1, 30).User("a2", 2, 30).User("b", 3, 30).User("b", 4, 30, 0);
  FairTree fair = ComputeFairTree(tree.state);
  EXPECT_EQ(fair.accounts.at("a").usage, 60U);
  EXPECT_EQ(fair.accounts.at("a").share_ppm, 750'000U);
  EXPECT_EQ(fair.users.at({"a1", 1}).of, 4U);
  EXPECT_EQ(tree.RankOf("b", 4), 1U);
  EXPECT_EQ(tree.RankOf("b", 3), 2U);
}

}  // namespace
}  // namespace slipway::scheduler
