// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/container_env.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace slipway {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(Env, ACommaBelongsToTheValueUnlessANameFollows) {
  EXPECT_THAT(*ParseEnv("A=1,B=2"), ElementsAre("A=1", "B=2"));
  EXPECT_THAT(*ParseEnv("A=1,2,3"), ElementsAre("A=1,2,3"));
  EXPECT_THAT(*ParseEnv("A=x=1,B=,C=,"), ElementsAre("A=x=1", "B=", "C=,"));
  for (const char* bad : {"", "A", "=1", "1A=2", "A B=3"}) EXPECT_FALSE(ParseEnv(bad)) << bad;
}

TEST(EnvFile, TakesValuesAsTheyAreWritten) {
  auto variables =
      ParseEnvFile("A=bare value \t\r\nB=\"q # q\" # words\n\nexport C='$HOME'\nD=a # words\nE=\n", "f");
  ASSERT_TRUE(variables) << variables.error().message;
  EXPECT_THAT(*variables, ElementsAre("A=bare value", "B=q # q", "C=$HOME", "D=a", "E="));
}

TEST(EnvFile, NamesTheLineThatIsWrong) {
  EXPECT_THAT(ParseEnvFile("A=1\nB=\"open\n", "f").error().message,
              HasSubstr("f, line 2: the quote is not closed"));
  EXPECT_THAT(ParseEnvFile("A=\"1\" 2", "f").error().message,
              HasSubstr("'2' stands behind the quoted value"));
}

TEST(ContainerEnv, PassesOnWhatMeansSomethingInside) {
  User user;
  user.name = "alice";
  user.home = "/home/alice";
  auto env = ContainerEnv("/i/a.sif", {.set = {"X=1"}, .kept_out = {"SECRET,OTHER"}}, user,
                          {"A=1", "LD_PRELOAD=/x.so", "SECRET=1", "APPTAINERENV_B=2", "HOME=/elsewhere"});
  ASSERT_TRUE(env);
  for (const char* entry :
       {"A=1", "APPTAINERENV_B=2", "HOME=/home/alice", "SLIPWAYENV_X=1", "SLIPWAY_NAME=a.sif"})
    EXPECT_THAT(*env, Contains(entry));
  for (const char* entry : {"LD_PRELOAD=/x.so", "SECRET=1", "HOME=/elsewhere"})
    EXPECT_THAT(*env, Not(Contains(entry)));
  auto clean = ContainerEnv("/i/a.sif", {.clean = true}, user, {"A=1", "TERM=x", "SLIPWAYENV_B=2"});
  EXPECT_THAT(*clean, Not(Contains("A=1")));
  EXPECT_THAT(*clean, Contains("TERM=x"));
  EXPECT_THAT(*clean, Contains("USER=alice"));
  EXPECT_THAT(*clean, Contains("SLIPWAYENV_B=2"));
}

}  // namespace
}  // namespace slipway
