// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/own_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/settings.h"
#include "base/os/fd.h"
#include "base/text/text.h"
#include "launcher/spec/starter_conf.h"

namespace slipway::cli {
namespace {

using testing::HasSubstr;

class OwnClusterTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(MakeDirectories(cluster_.folder));
    ASSERT_TRUE(WriteFileAtomically(cluster_.folder + "/ca.pem", "the CA\n", 0644));
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(dir_)); }
  std::string dir_ = *MakeTempDirectory("/tmp", "slipway-own-");
  OwnCluster cluster_{.folder = dir_ + "/.config/slipway",
                      .home = dir_,
                      .name = "mine",
                      .node = "laptop",
                      .id = "0123456789abcdef",
                      .uid = 1234,
                      .gid = 100};
};

TEST_F(OwnClusterTest, ItsDaemonsCanReadWhatIsWritten) {
  ASSERT_TRUE(WriteFiles(cluster_));
  auto config = LoadDaemonConfig(cluster_.folder + "/slipway.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->String("agent.node"), "laptop");
  EXPECT_EQ(config->String("agent.controller"), config->String("controller.listen"));
  EXPECT_EQ(config->String("controller.socket"), "/run/user/1234/slipway/controller/slipwayd.sock");
  auto conf = ParseConf(*ReadFile(cluster_.folder + "/starter.conf"));
  ASSERT_TRUE(conf) << conf.error().message;
  EXPECT_TRUE(conf->rootless);
  EXPECT_EQ(conf->agent_uid, 1234U);
  EXPECT_EQ(conf->socket(), config->String("agent.broker_socket"));
  EXPECT_EQ(conf->cgroup, "user.slice/user-1234.slice/user@1234.service/app.slice/slipway-steps.service");
}

TEST_F(OwnClusterTest, WhatTheUserChangedStays) {
  ASSERT_TRUE(WriteFileAtomically(cluster_.folder + "/starter.conf", "mine\n", 0644));
  ASSERT_TRUE(WriteFiles(cluster_));
  EXPECT_EQ(*ReadFile(cluster_.folder + "/starter.conf"), "mine\n");
  EXPECT_EQ(*ReadFile(dir_ + "/.local/state/slipway/client/ca.pem"), "the CA\n");
}

}  // namespace
}  // namespace slipway::cli
