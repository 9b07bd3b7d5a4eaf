// SPDX-License-Identifier: Apache-2.0
#include "agent/meter/node_energy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hooks/host/testdata/fake_host.h"

namespace slipway {
namespace {

using testing::HasSubstr;

// A server of two sockets as Linux shows it.
class NodeEnergyTest : public testing::Test {
 protected:
  void SetUp() override {
    Zone("intel-rapl:0", "package-0", 1000);
    Zone("intel-rapl:0:0", "core", 1);
    Zone("intel-rapl:0:1", "dram", 50);
    Zone("intel-rapl:1", "package-1", 2000);
    Zone("intel-rapl:2", "psys", 7);
    host_.Files({{"/sys/class/powercap/intel-rapl-mmio:0/name", "package-0\n"},
                 {"/sys/class/powercap/intel-rapl-mmio:0/energy_uj", "77\n"},
                 {"/sys/class/powercap/intel-rapl-mmio:0/max_energy_range_uj", "10000\n"}});
  }
  void Zone(const std::string& name, const std::string& what, int energy) {
    std::string folder = "/sys/class/powercap/" + name;
    host_.Files({{folder + "/name", what + "\n"},
                 {folder + "/max_energy_range_uj", "10000\n"},
                 {folder + "/energy_uj", Cat(energy, "\n")}});
  }
  FakeHost host_;
};

TEST_F(NodeEnergyTest, PackagesAndTheirMemoryCountAndNothingTwice) {
  NodeEnergy energy(host_.tree());
  EXPECT_EQ(energy.why_not(), "");
  EXPECT_EQ(energy.Total(), 0U);
  Zone("intel-rapl:0", "package-0", 1500);
  Zone("intel-rapl:0:0", "core", 9000);
  Zone("intel-rapl:0:1", "dram", 60);
  Zone("intel-rapl:1", "package-1", 2001);
  Zone("intel-rapl:2", "psys", 9000);
  EXPECT_EQ(energy.Total(), 511U);
  EXPECT_EQ(energy.Total(), 511U);
}

TEST_F(NodeEnergyTest, ACounterThatBeginsAnewGoesOn) {
  NodeEnergy energy(host_.tree());
  ASSERT_EQ(energy.Total(), 0U);
  Zone("intel-rapl:1", "package-1", 500);
  EXPECT_EQ(energy.Total(), 8500U);
}

TEST_F(NodeEnergyTest, WhatIsNotThereOrMayNotBeReadIsSaid) {
  FakeHost none;
  NodeEnergy nothing(none.tree());
  EXPECT_THAT(nothing.why_not(), HasSubstr("energy is not counted: no RAPL counter"));
  EXPECT_EQ(nothing.Total(), std::nullopt);
  host_.Remove("/sys/class/powercap/intel-rapl:1/energy_uj");
  NodeEnergy energy(host_.tree());
  EXPECT_THAT(energy.why_not(), HasSubstr("/sys/class/powercap/intel-rapl:1/energy_uj"));
  EXPECT_EQ(energy.Total(), std::nullopt) << "half of a node is no node";
}

TEST(NodeBusy, CountsWhatProcessorsDidAndNotWhatTheyWaitedFor) {
  FakeHost host;
  EXPECT_EQ(NodeBusy(host.tree(), 100), std::nullopt);
  host.Files({{"/proc/stat", "cpu  100 10 30 5000 700 2 3 900 50 0\ncpu0 1 1 1 1\n"}});
  EXPECT_EQ(NodeBusy(host.tree(), 100), 1'450'000U);
  host.Files({{"/proc/stat", "cpu  1 x\n"}});
  EXPECT_EQ(NodeBusy(host.tree(), 100), std::nullopt);
}

}  // namespace
}  // namespace slipway
