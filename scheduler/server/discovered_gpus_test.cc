// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/discovered_gpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/os/fd.h"

namespace slipway::scheduler {
namespace {

using testing::ElementsAre;

class DiscoveredGpusTest : public testing::Test {
 protected:
  void SetUp() override { path_ = *MakeTempDirectory("/tmp", "slipway-gpus-"); }
  void TearDown() override { ASSERT_TRUE(RemoveTree(path_)); }
  std::string File() const { return path_ + "/gpus"; }
  std::string path_;
};

TEST_F(DiscoveredGpusTest, WhatANodeSaidOutlivesARestartAndIsNumberedByType) {
  DiscoveredGpus gpus = DiscoveredGpus::Load(File());
  EXPECT_TRUE(gpus.Learn("n1", {{"b", "h100"}, {"a", "a100"}, {"c", "h100"}}));
  EXPECT_FALSE(gpus.Learn("n1", {{"b", "h100"}, {"a", "a100"}, {"c", "h100"}}));
  Site site = DiscoveredGpus::Load(File()).AddedTo({});
  const NodeTraits& traits = site.TraitsOf("n1");
  ASSERT_EQ(traits.gpus.size(), 2U);
  EXPECT_EQ(traits.gpus[0].name, "a100");
  EXPECT_EQ(traits.gpus[1].count, 2U);
  EXPECT_THAT(traits.gpu_ids, ElementsAre("a", "b", "c"));
  EXPECT_TRUE(gpus.Learn("n1", {}));
  EXPECT_TRUE(DiscoveredGpus::Load(File()).empty());
}

TEST_F(DiscoveredGpusTest, TheSitesOwnSettingsWin) {
  Site configured;
  configured.nodes["n1"].gpus = {{"mine", 1}};
  configured.nodes["n2"].features = {"ib"};
  DiscoveredGpus gpus = DiscoveredGpus::Load("");
  gpus.Learn("n1", {{"a", "a100"}});
  gpus.Learn("n2", {{"b", "a100"}});
  Site site = gpus.AddedTo(configured);
  EXPECT_EQ(site.TraitsOf("n1").gpus[0].name, "mine");
  EXPECT_TRUE(site.TraitsOf("n1").gpu_ids.empty());
  EXPECT_EQ(site.TraitsOf("n2").gpu_count(), 1U);
  EXPECT_TRUE(site.TraitsOf("n2").features.contains("ib"));
}

TEST_F(DiscoveredGpusTest, TypesBeyondThePlannersAreGpusOfNoType) {
  DiscoveredGpus gpus = DiscoveredGpus::Load("");
  gpus.Learn("n1", {{"1", "a"}, {"2", "b"}, {"3", "c"}, {"4", "d"}, {"5", "e"}});
  std::vector<std::string> untyped;
  Site site = gpus.AddedTo({}, &untyped);
  EXPECT_EQ(site.TraitsOf("n1").gpu_count(), 5U);
  EXPECT_THAT(untyped, ElementsAre("e"));
  EXPECT_TRUE(CheckSite(site));
}

TEST_F(DiscoveredGpusTest, ADamagedFileIsAsNone) {
  ASSERT_TRUE(WriteFileAtomically(File(), "damaged"));
  EXPECT_TRUE(DiscoveredGpus::Load(File()).empty());
}

}  // namespace
}  // namespace slipway::scheduler
