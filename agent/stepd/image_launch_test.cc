// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/image_launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(ImageLaunch, RunsOneMpiProgramOverPmix) {
  SpawnRequest two = Of("tools");
  two.programs.push_back(two.programs[0]);
  EXPECT_THAT(LaunchOf(two, 1).error().message, HasSubstr("one program, not 2"));
  SpawnRequest over_pmi = Of("tools");
  over_pmi.put = {{"PARENT_ROOT_PORT_NAME", "x"}};
  EXPECT_THAT(LaunchOf(over_pmi, 1).error().message, HasSubstr("by PMIx"));
}

TEST(SpawnTicket, IsReadFromTheEnvironment) {
  EXPECT_EQ(SpawnTicketOf(Spec({"SLIPWAY_SPAWN_TICKET=7"})), 7U);
  EXPECT_EQ(SpawnTicketOf(Spec()), 0U);
  EXPECT_EQ(SpawnTicketOf(Spec({"SLIPWAY_SPAWN_TICKET=x"})), 0U);
}

}  // namespace
}  // namespace slipway
