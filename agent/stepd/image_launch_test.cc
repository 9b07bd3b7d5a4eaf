// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/image_launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace slipway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

StepSpec Spec(std::vector<std::string> env = {}) {
  StepSpec spec;
  spec.nodes = {"n1", "n2"};
  spec.image_digest = "sha256:own";
  spec.rendezvous = true;
  spec.env = std::move(env);
  return spec;
}
SpawnRequest Of(std::string image = {}) {
  return {.programs = {{.argv = {"child", "-v"}, .env = {"A=b"}, .count = 2}}, .image = std::move(image)};
}
std::string Chosen(const StepSpec& spec, SpawnRequest request) {
  auto chosen = ChooseSpawnImage(spec, request);
  return chosen ? request.image : "!" + chosen.error().message;
}

TEST(SpawnImage, IsTheStepsOwnUnlessTheUserLetsRanksHaveAnother) {
  EXPECT_EQ(Chosen(Spec(), Of()), "");
  EXPECT_EQ(Chosen(Spec(), Of("sha256:own")), "");
  EXPECT_THAT(Chosen(Spec(), Of("tools")), HasSubstr("image tools is not one"));
  StepSpec lets = Spec({"SLIPWAY_SPAWN_IMAGES=tools,mpi:2"});
  EXPECT_EQ(Chosen(lets, Of()), "tools");
  EXPECT_EQ(Chosen(lets, Of("mpi:2")), "mpi:2");
  EXPECT_THAT(Chosen(lets, Of("mpi:3")), HasSubstr("--spawn-image"));
}

TEST(SpawnImage, CanBeSaidInTheEnvironmentThatMpiPassesOn) {
  SpawnRequest request = Of();
  request.programs[0].env.push_back("SLIPWAY_SPAWN_IMAGE=mpi:2");
  ASSERT_TRUE(ChooseSpawnImage(Spec({"SLIPWAY_SPAWN_IMAGES=tools,mpi:2"}), request));
  EXPECT_EQ(request.image, "mpi:2");
  EXPECT_THAT(request.programs[0].env, ElementsAre("A=b"));
}

TEST(SpawnImage, NeedsAJobWithAScript) {
  StepSpec lone = Spec({"SLIPWAY_SPAWN_IMAGES=tools"});
  lone.rendezvous = false;
  EXPECT_THAT(Chosen(lone, Of()), HasSubstr("slipway submit"));
}

TEST(SpawnImage, IsTheStepsOwnOnNodesWhereItHasNoRanks) {
  SpawnRequest request = Of();
  request.hosts = {"n2"};
  EXPECT_EQ(Chosen(Spec(), request), "");
  request.hosts = {"n3"};
  EXPECT_EQ(Chosen(Spec(), request), "sha256:own");
}

TEST(ImageLaunch, IsTheCommandThatAUserWouldType) {
  SpawnRequest request = Of("-x");
  request.hosts = {"n2", "n3"};
  request.programs[0].cwd = "/data";
  auto launch = LaunchOf(request, 7);
  ASSERT_TRUE(launch);
  EXPECT_THAT(launch->argv, ElementsAre("/run/slipway/client/bin/slipway", "launch", "--mpi=pmix",
                                        "--input=/dev/null", "--ntasks=2", "--image=-x", "--nodelist=n2,n3",
                                        "--nodes=2", "--pwd=/data", "--env=A=b", "--", "child", "-v"));
  EXPECT_THAT(launch->env, ElementsAre("SLIPWAY_SPAWN_TICKET=7")) << "what a rank sets is for ranks alone";
}

TEST(ImageLaunch, IsOfMpiProgramsOverPmix) {
  SpawnRequest over_pmi = Of("tools");
  over_pmi.put = {{"PARENT_ROOT_PORT_NAME", "x"}};
  EXPECT_THAT(LaunchOf(over_pmi, 1).error().message, HasSubstr("by PMIx"));
  SpawnRequest none = Of("tools");
  none.programs.clear();
  EXPECT_THAT(LaunchOf(none, 1).error().message, HasSubstr("0 programs"));
  SpawnRequest many = Of("tools");
  many.programs[0].count = kSpawnRanksMax + 1;
  EXPECT_FALSE(LaunchOf(many, 1));
}

// What the command's shell makes of a rank: the words after "--", run as the container would.
std::string RunAs(const ImageLaunch& launch, int rank) {
  auto dash = std::find(launch.argv.begin(), launch.argv.end(), "--");
  std::vector<std::string> words(dash + 1, launch.argv.end());
  EXPECT_THAT(words, ElementsAre("/bin/sh", "-c", testing::_));
  ::setenv("SLIPWAY_RANK", std::to_string(rank).c_str(), 1);
  ::setenv("SCRIPT", words[2].c_str(), 1);
  std::FILE* out = ::popen("exec /bin/sh -c \"$SCRIPT\"", "r");
  std::string text(4096, 0);
  text.resize(std::fread(text.data(), 1, text.size(), out));
  ::pclose(out);
  return text;
}

TEST(ImageLaunch, RunsSeveralProgramsInTheRanksOrder) {
  SpawnRequest two = Of("tools");
  two.programs[0].argv = {"printenv", "A", "PWD"};
  two.programs[0].cwd = "/usr";
  two.programs[0].env = {"A=it's $HOME \"x\""};
  two.programs.push_back({.argv = {"printf", "%s|", "two words", "a'b", "$A"}, .count = 3});
  auto launch = LaunchOf(two, 7);
  ASSERT_TRUE(launch);
  EXPECT_THAT(launch->argv, testing::Contains("--ntasks=5"));
  EXPECT_THAT(launch->env, ElementsAre("SLIPWAY_SPAWN_TICKET=7", "SLIPWAY_SPAWN_PROGRAMS=2,3"));
  EXPECT_EQ(RunAs(*launch, 0), "it's $HOME \"x\"\n/usr\n");
  EXPECT_EQ(RunAs(*launch, 1), RunAs(*launch, 0));
  EXPECT_EQ(RunAs(*launch, 2), "two words|a'b|$A|");
  EXPECT_EQ(RunAs(*launch, 4), RunAs(*launch, 2));
}

TEST(ImageLaunch, RefusesAVariableThatAShellCannotSet) {
  SpawnRequest two = Of("tools");
  two.programs.push_back(two.programs[0]);
  two.programs[1].env = {"x;reboot=1"};
  EXPECT_THAT(LaunchOf(two, 1).error().message, HasSubstr("variable x;reboot"));
}

TEST(SpawnImage, IsOneForAllProgramsOfASpawn) {
  StepSpec lets = Spec({"SLIPWAY_SPAWN_IMAGES=tools,mpi:2"});
  SpawnRequest request = Of();
  request.programs.push_back(request.programs[0]);
  request.programs[1].env.push_back("SLIPWAY_SPAWN_IMAGE=mpi:2");
  EXPECT_EQ(Chosen(lets, request), "mpi:2") << "the other says nothing";
  request.programs[0].env.push_back("SLIPWAY_SPAWN_IMAGE=tools");
  EXPECT_THAT(Chosen(lets, request), HasSubstr("image tools and image mpi:2"));
}

TEST(SpawnPrograms, AreReadWhereTheyFitTheStep) {
  auto of = [](std::vector<std::string> env) {
    StepSpec spec = Spec(std::move(env));
    spec.ranks = {{0, 1, 2}, {3, 4}};
    return SpawnProgramsOf(spec);
  };
  EXPECT_THAT(of({"SLIPWAY_SPAWN_TICKET=7", "SLIPWAY_SPAWN_PROGRAMS=2,3"}), ElementsAre(2, 3));
  for (const char* wrong : {"", "2", "2,x", "2,4", "0,5", "4294967295,6"})
    EXPECT_THAT(of({"SLIPWAY_SPAWN_TICKET=7", std::string("SLIPWAY_SPAWN_PROGRAMS=") + wrong}),
                testing::IsEmpty())
        << wrong;
  EXPECT_THAT(of({"SLIPWAY_SPAWN_PROGRAMS=2,3"}), testing::IsEmpty()) << "not of a spawn";
}

TEST(SpawnTicket, IsReadFromTheEnvironment) {
  EXPECT_EQ(SpawnTicketOf(Spec({"SLIPWAY_SPAWN_TICKET=7"})), 7U);
  EXPECT_EQ(SpawnTicketOf(Spec()), 0U);
  EXPECT_EQ(SpawnTicketOf(Spec({"SLIPWAY_SPAWN_TICKET=x"})), 0U);
}

}  // namespace
}  // namespace slipway
