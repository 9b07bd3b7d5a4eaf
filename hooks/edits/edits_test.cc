// SPDX-License-Identifier: Apache-2.0
#include "hooks/edits/edits.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

Mount Bind(std::string source, std::string target) {
  return Mount{.type = Mount::kBind, .source = std::move(source), .target = std::move(target)};
}

TEST(Bind, ReadsEachForm) {
  auto plain = ParseBind("/data");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->source, "/data");
  EXPECT_EQ(plain->target, "/data");
  EXPECT_FALSE(plain->read_only);
  auto full = ParseBind("/scratch/a b:/work:ro");
  ASSERT_TRUE(full);
  EXPECT_EQ(full->source, "/scratch/a b");
  EXPECT_EQ(full->target, "/work");
  EXPECT_TRUE(full->read_only);
  EXPECT_FALSE(ParseBind("/a:/b:rw")->read_only);
}

TEST(Bind, SaysWhatIsWrong) {
  for (const char* bad :
       {"", "data", "/a:b", "/a:/b:rx", "/a:/b:ro:x", "/a/../etc:/b", "/a:/b/..", "/a:/", "/a:///", ":/b"})
    EXPECT_FALSE(ParseBind(bad)) << bad;
  EXPECT_NE(ParseBind("/a:/b:rx").error().message.find("\"rx\""), std::string::npos);
  EXPECT_FALSE(ParseBind(std::string_view("/a\0b", 4)));
}

TEST(ContainerEdits, TheSameTwiceIsOne) {
  ContainerEdits edits{{Bind("/dev/x", "/dev/x")}, {"A=1"}};
  ASSERT_TRUE(MergeEdits(edits, {{Bind("/dev/x", "/dev/x"), Bind("/y", "/y")}, {"A=1", "B=2"}}));
  EXPECT_EQ(edits.mounts.size(), 2U);
  EXPECT_EQ(edits.env, (std::vector<std::string>{"A=1", "B=2"}));
}

TEST(ContainerEdits, HooksThatDisagreeAreRefusedAndChangeNothing) {
  ContainerEdits edits{{Bind("/a", "/lib/x")}, {"A=1"}};
  EXPECT_FALSE(MergeEdits(edits, {{Bind("/new", "/new"), Bind("/b", "/lib/x")}, {}}));
  EXPECT_FALSE(MergeEdits(edits, {{}, {"A=2"}}));
  EXPECT_EQ(edits.mounts.size(), 1U);
}

TEST(ContainerEdits, ADeviceAndAMountAtOnePlaceAreAConflict) {
  ContainerEdits edits{.mounts = {Bind("/x", "/dev/gpu0")}};
  auto refused = MergeEdits(edits, {.devices = {{"/dev/gpu0", "/dev/gpu3"}}});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("at /dev/gpu0: /x and /dev/gpu3"), std::string::npos);
  edits = {.devices = {{"/dev/gpu0", "/dev/gpu3"}}};
  EXPECT_FALSE(MergeEdits(edits, {.mounts = {Bind("/x", "/dev/gpu0")}}));
  EXPECT_FALSE(MergeEdits(edits, {.devices = {{"/dev/gpu0", "/dev/gpu4"}}}));
  EXPECT_TRUE(MergeEdits(edits, {.devices = {{"/dev/gpu0", "/dev/gpu3"}}}));
  EXPECT_EQ(edits.devices.size(), 1U);
}

TEST(ContainerEdits, HooksKeepTheirOrderAndGroupsTheirUsers) {
  Hook a{.path = "/a"}, b{.path = "/b"};
  ContainerEdits edits{.hooks = {b}, .additional_gids = {44}};
  ASSERT_TRUE(MergeEdits(edits, {.hooks = {a, b}, .additional_gids = {44, 45}}));
  ASSERT_EQ(edits.hooks.size(), 2U);
  EXPECT_EQ(edits.hooks[0].path, "/b");
  EXPECT_TRUE(CheckGroups(edits, {1, 45, 44}));
  EXPECT_NE(CheckGroups(edits, {44}).error().message.find("group 45"), std::string::npos);
}

TEST(ContainerEdits, InAContainerWithoutAJobTheyWinOverTheSurroundings) {
  LaunchSpec spec;
  spec.mounts = {{.type = Mount::kDev, .target = "/dev"}, Bind("/mine", "/lib/x"), Bind("/tmp", "/tmp")};
  spec.env = {"GPU=all", "A=1"};
  ApplyEdits({.mounts = {Bind("/hook", "/lib/x"), Bind("/tmp/mps", "/tmp/mps")},
              .env = {"GPU=void"},
              .devices = {{"/dev/gpu0", "/dev/gpu3"}}},
             spec);
  EXPECT_EQ(spec.env, (std::vector<std::string>{"A=1", "GPU=void"}));
  ASSERT_EQ(spec.mounts.size(), 5U);
  EXPECT_EQ(spec.mounts[1].source, "/mine");
  EXPECT_EQ(spec.mounts[3].target, "/tmp/mps");
  EXPECT_EQ(spec.mounts[4].source, "/dev/gpu3");
}

TEST(ContainerEdits, TheUsersWordWins) {
  StepSpec spec;
  spec.env = {"OMPI_MCA_mtl=ofi"};
  spec.mounts = {Bind("/mine", "/lib/x")};
  ApplyEdits({{Bind("/hook", "/lib/x")}, {"OMPI_MCA_mtl=^psm", "X=1"}}, spec);
  EXPECT_EQ(spec.env, (std::vector<std::string>{"OMPI_MCA_mtl=ofi", "X=1"}));
  EXPECT_EQ(spec.mounts.back().source, "/mine");
}

TEST(ContainerEdits, LibraryFoldersComeBehindWhatTheImageNames) {
  ContainerEdits edits{.library_folders = {"/a"}};
  ASSERT_TRUE(MergeEdits(edits, {.library_folders = {"/b", "/a"}}));
  StepSpec step;
  step.env = {"SLIPWAYENV_LD_LIBRARY_PATH=/own"};
  ApplyEdits(edits, step);
  EXPECT_EQ(step.env.back(), "SLIPWAYENV_APPEND_LD_LIBRARY_PATH=/a:/b");
  LaunchSpec launch;
  ApplyEdits({}, launch);
  EXPECT_TRUE(launch.env.empty());
}

}  // namespace
}  // namespace slipway
