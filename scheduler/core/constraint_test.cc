// SPDX-License-Identifier: Apache-2.0
// Which nodes a constraint means, and what is refused.
#include "scheduler/core/constraint.h"

#include <gtest/gtest.h>

namespace slipway::scheduler {
namespace {

bool Holds(std::string_view text, std::set<std::string> features) {
  Result<Constraint> constraint = ParseConstraint(text);
  EXPECT_TRUE(constraint.has_value()) << text;
  return constraint && constraint->every.Holds(features);
}

TEST(Constraint, AndOrNotAndParenthesesBindAsUsual) {
  EXPECT_TRUE(Holds("", {}));
  EXPECT_TRUE(Holds("a&b", {"a", "b"}));
  EXPECT_TRUE(Holds("a,b", {"a", "b"}));
  EXPECT_FALSE(Holds("a&b", {"a"}));
  EXPECT_TRUE(Holds("a|b&c", {"a"}));
  EXPECT_FALSE(Holds("(a|b)&c", {"a"}));
  EXPECT_TRUE(Holds("!a&b", {"b"}));
  EXPECT_FALSE(Holds("!(a|b)", {"b"}));
  EXPECT_TRUE(Holds("!!a", {"a"}));
}

TEST(Constraint, CountsAndAlternativesStandBesideWhatHoldsForAll) {
  Constraint counted = *ParseConstraint("ib&a*2&(b|c)*1");
  ASSERT_EQ(counted.counts.size(), 2U);
  EXPECT_EQ(counted.counts[0].nodes, 2U);
  EXPECT_TRUE(counted.counts[1].test.Holds({"c"}));
  EXPECT_FALSE(counted.every.Holds({"a"}));
  EXPECT_TRUE(counted.every.Holds({"ib"}));
  Constraint racks = *ParseConstraint("[rack1|rack2]&!old");
  EXPECT_EQ(racks.one_of.size(), 2U);
  EXPECT_FALSE(racks.every.Holds({"old"}));
  EXPECT_EQ(racks.features, (std::set<std::string>{"rack1", "rack2", "old"}));
}

TEST(Constraint, WhatIsWrongIsSaidWithItsPlace) {
  for (const char* text : {"a&", "&a", "(a", "a)", "a*0", "a*x", "[a|b", "[a]&[b]", "a*1|b", "a b",
                           "a*1&[b|c]", "a*99999999999", "|", "!"}) {
    Result<Constraint> constraint = ParseConstraint(text);
    ASSERT_FALSE(constraint.has_value()) << text;
    EXPECT_NE(constraint.error().message.find("constraint"), std::string::npos) << text;
  }
  EXPECT_NE(ParseConstraint("a&(b").error().message.find(") is wanted at character 5"), std::string::npos);
  EXPECT_FALSE(ParseConstraint(std::string(500, '(')).has_value());
  EXPECT_FALSE(ParseConstraint(std::string(500, '!') + "a").has_value());
  EXPECT_FALSE(ParseConstraint(std::string(5000, 'a')).has_value());
}

}  // namespace
}  // namespace slipway::scheduler
