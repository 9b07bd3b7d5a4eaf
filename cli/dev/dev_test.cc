// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/dev/conf.h"
#include "cli/dev/layout.h"
#include "cli/dev/restart.h"
#include "cli/dev/supervisor.h"

namespace slipway::dev {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

TEST(RestartPolicy, StartsADeadDaemonAtOnce) {
  RestartPolicy policy;
  EXPECT_EQ(policy.AfterDeath(seconds(60)), Duration::zero());
  EXPECT_EQ(policy.AfterDeath(milliseconds(1)), Duration::zero());
}

TEST(RestartPolicy, BacksOffFromADaemonThatKeepsDyingAndForgivesOneThatLived) {
  RestartPolicy policy;
  Duration last{};
  for (int i = 0; i < 20; ++i) {
    Duration wait = policy.AfterDeath(milliseconds(10));
    EXPECT_GE(wait, last);
    last = wait;
  }
  EXPECT_EQ(last, seconds(10));
  EXPECT_EQ(policy.AfterDeath(seconds(6)), Duration::zero());
  EXPECT_EQ(policy.AfterDeath(milliseconds(10)), Duration::zero());
}

TEST(Layout, RefusesNamesThatAreNoHostNames) {
  for (const char* name : {"", "-a", "a/b", "..", "A", "a b"}) EXPECT_FALSE(LayoutOf(name)) << name;
  EXPECT_TRUE(LayoutOf("t1-2"));
}

TEST(Conf, EachNodeListensOnItsOwnAddress) {
  Layout layout{"dev", "/s"};
  std::string text = AgentToml(layout, {.cores = 4, .memory_bytes = 1024}, "abc", 2);
  EXPECT_THAT(text, HasSubstr("listen = \"10.77.0.2:6822\""));
  EXPECT_THAT(text, HasSubstr("node = \"n2\""));
  EXPECT_THAT(text, HasSubstr("cores = 4\nmemory = 1024\n"));
}

TEST(Conf, ARootlessBrokerHasNoOtherUsers) {
  Layout layout{"dev", "/s"};
  EXPECT_THAT(BrokerConf(layout, {true, 1000, 1000, 1000, 1000}, "abc", "n1", "/s/nodes/n1"),
              HasSubstr("agent_uid = 1000\nagent_gid = 1000\nrootless = yes"));
  EXPECT_THAT(BrokerConf(layout, {false, 64321, 64322, 64321, 64322}, "abc", "n1", "/s/nodes/n1"),
              HasSubstr("import_uid = 64322"));
}

TEST(Conf, ABrokerMakesCgroupsOfItsOwnOnlyWhereNoSystemdGivesThem) {
  Layout layout{"dev", "/s"};
  Identities root{false, 64321, 64322, 64321, 64322};
  EXPECT_THAT(BrokerConf(layout, root, "abc", "n1", "/s/nodes/n1"),
              HasSubstr("cgroup = slipway-dev-dev/n1\n"));
  root.systemd = true;
  EXPECT_EQ(BrokerConf(layout, root, "abc", "n1", "/s/nodes/n1").find("cgroup"), std::string::npos);
}

TEST(Daemons, ABrokerWaitsForItsHolderAndAnAgentForItsBroker) {
  auto daemons = Daemons({"dev", "/s"}, {.nodes = 1}, {});
  std::vector<std::string> names;
  for (auto& daemon : daemons) names.push_back(daemon.name);
  EXPECT_THAT(names, testing::ElementsAre("controller-holder", "controller-broker", "slipwayd", "n1-holder",
                                          "n1-broker", "n1-agent"));
  EXPECT_EQ(daemons[4].wait_for, "/s/nodes/n1/run/holder.sock");
  EXPECT_EQ(daemons[5].wait_for, "/s/nodes/n1/run/broker.sock");
}

}  // namespace
}  // namespace slipway::dev
