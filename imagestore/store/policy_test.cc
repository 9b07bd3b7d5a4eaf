// SPDX-License-Identifier: Apache-2.0
#include "imagestore/store/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace slipway::store {
namespace {

using testing::HasSubstr;

const PolicyUser kAlice{1000, {100, 500}, "alice"}, kBob{1001, {100}, "bob"};
const PolicySubject kPhysicists{true, 500, "phys"}, kBobHimself{false, 1001, "bob"};

PolicyRule Rule(std::int64_t id, bool allow, const std::string& pattern,
                std::vector<PolicySubject> subjects = {}, std::vector<std::string> keys = {}) {
  return {
      .id = id, .allow = allow, .pattern = pattern, .subjects = std::move(subjects), .keys = std::move(keys)};
}
PolicyImage Image(const std::string& name, std::vector<std::string> keys = {}) {
  return {name.empty() ? "sha256:12" : name, name.empty() ? std::vector<std::string>{} : std::vector{name},
          std::move(keys)};
}
bool May(const std::vector<PolicyRule>& rules, const PolicyUser& user, const PolicyImage& image) {
  return !WhyNotAllowed(rules, user, image);
}

TEST(ExecutionPolicy, WithoutARuleEverybodyMay) {
  EXPECT_TRUE(May({}, kBob, Image("a/b:1")));
  EXPECT_TRUE(May({Rule(1, true, "physics/*", {kPhysicists})}, kBob, Image("a/b:1")));
  EXPECT_TRUE(May({Rule(1, true, "physics/*", {kPhysicists})}, kBob, Image("")));
}

TEST(ExecutionPolicy, AnAllowedPatternIsForThoseWhoAreNamed) {
  std::vector<PolicyRule> rules = {Rule(1, true, "physics/*", {kPhysicists})};
  EXPECT_TRUE(May(rules, kAlice, Image("physics/x:1")));
  auto why = WhyNotAllowed(rules, kBob, Image("physics/x:1"));
  ASSERT_TRUE(why);
  EXPECT_EQ(*why,
            "image physics/x:1: rule 1 (allow physics/* to group phys) is for others than you; an "
            "administrator may say: "
            "slipway image allow physics/x:1 --user bob");
  rules.push_back(Rule(2, true, "physics/x:1", {kBobHimself}));
  EXPECT_TRUE(May(rules, kBob, Image("physics/x:1")));
  EXPECT_FALSE(May(rules, kAlice, Image("physics/x:1"))) << "the narrowest pattern decides";
  EXPECT_FALSE(May(rules, kBob, Image("physics/x:2")));
}

TEST(ExecutionPolicy, WhoIsDeniedByNameStaysDenied) {
  std::vector<PolicyRule> rules = {Rule(1, false, "*", {kBobHimself}), Rule(2, true, "a/b:1")};
  EXPECT_FALSE(May(rules, kBob, Image("a/b:1")));
  EXPECT_TRUE(May(rules, kAlice, Image("a/b:1")));
  EXPECT_FALSE(May(rules, kBob, Image("")));
}

TEST(ExecutionPolicy, WhatIsClosedIsOpenedByANarrowerPattern) {
  std::vector<PolicyRule> rules = {Rule(1, true, "site/*"), Rule(2, false, "*")};
  EXPECT_TRUE(May(rules, kBob, Image("site/x:1")));
  EXPECT_FALSE(May(rules, kBob, Image("other/x:1")));
  EXPECT_FALSE(May(rules, kBob, Image(""))) << "a file of his own";
  EXPECT_THAT(*WhyNotAllowed(rules, kBob, Image("")), HasSubstr("rule 2 (deny *)"));
  rules.push_back(Rule(3, false, "site/x"));
  EXPECT_FALSE(May(rules, kBob, Image("site/x:1")));
  rules.push_back(Rule(4, true, "site/x"));
  EXPECT_FALSE(May(rules, kBob, Image("site/x:1"))) << "of two equal patterns the one that closes";
  EXPECT_TRUE(May(rules, kBob, Image("site/xy:1")));
}

TEST(ExecutionPolicy, ASignatureMayBeWanted) {
  std::vector<PolicyRule> rules = {Rule(1, true, "*", {}, {"KEY1", "KEY2"})};
  EXPECT_TRUE(May(rules, kBob, Image("a/b:1", {"KEY0", "KEY2"})));
  EXPECT_TRUE(May(rules, kBob, Image("", {"KEY1"})));
  auto why = WhyNotAllowed(rules, kBob, Image("a/b:1", {"KEY0"}));
  ASSERT_TRUE(why);
  EXPECT_THAT(
      *why,
      HasSubstr("image a/b:1: rule 1 (allow *, signed by KEY1 or KEY2) wants it signed by KEY1 or KEY2"));
  EXPECT_THAT(*why, HasSubstr("slipway sign"));
  EXPECT_FALSE(May(rules, kBob, Image("")));
}

TEST(ExecutionPolicy, ADigestIsAskedForByAllItsNames) {
  std::vector<PolicyRule> rules = {Rule(1, true, "physics/*", {kPhysicists})};
  PolicyImage image{"sha256:12", {"physics/x:1"}, {}};
  EXPECT_FALSE(May(rules, kBob, image)) << "its digest is no way round its name";
  image.names.push_back("bob/x:1");
  EXPECT_TRUE(May(rules, kBob, image));
}

TEST(ExecutionPolicy, PatternsAreChecked) {
  EXPECT_EQ(*ParsePattern("x"), "library/x");
  EXPECT_EQ(*ParsePattern("a/b"), "a/b");
  EXPECT_EQ(*ParsePattern("a/b:1"), "a/b:1");
  EXPECT_EQ(*ParsePattern("a/*"), "a/*");
  EXPECT_EQ(*ParsePattern("*"), "*");
  for (const char* bad : {"", "a/*/b", "*/b", "a/b:*", "A/b", "a/b@sha256:12", "/*", "a/b/*"})
    EXPECT_FALSE(ParsePattern(bad)) << bad;
}

}  // namespace
}  // namespace slipway::store
