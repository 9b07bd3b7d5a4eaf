// SPDX-License-Identifier: Apache-2.0
#include "agent/node/job_room.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace slipway {
namespace {

constexpr std::uint64_t kMemory = 1 << 30;

struct JobRoomTest : testing::Test {
  JobRoomTest() {
    plan.spec.step = {7, 2, 1};
    broker.run_dir = "/run/slipway";
  }
  LaunchPlan plan;
  BrokerWelcome broker;
};

TEST_F(JobRoomTest, TheSiteGivesEachJobItsOwn) {
  ASSERT_TRUE(GiveRoom({.tmp_bytes = 5 << 20, .shm_bytes = 3 << 20}, kMemory, broker, plan));
  EXPECT_EQ(plan.room.tmp_bytes, 5U << 20);
  EXPECT_EQ(plan.room.shm_bytes, 3U << 20);
  EXPECT_EQ(plan.spec.job_tmp, "/run/slipway/jobs/7.2/tmp");
  EXPECT_EQ(plan.spec.job_shm, "/run/slipway/jobs/7.2/shm");
}

TEST_F(JobRoomTest, WithoutASettingOrAWishTheNodesFoldersStay) {
  ASSERT_TRUE(GiveRoom({}, kMemory, broker, plan));
  EXPECT_EQ(plan.room.tmp_bytes + plan.room.shm_bytes, 0U);
  EXPECT_EQ(plan.spec.job_tmp + plan.spec.job_shm, "");
}

TEST_F(JobRoomTest, AJobGetsWhatItAskedForUpToTheMost) {
  plan.spec.env = {Cat(kJobTmpVariable, "=", 2 << 20)};
  ASSERT_TRUE(GiveRoom({.tmp_bytes = 5 << 20}, kMemory, broker, plan));
  EXPECT_EQ(plan.room.tmp_bytes, 2U << 20);
  auto refused = GiveRoom({.tmp_bytes_max = 1 << 20}, kMemory, broker, plan);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "--tmp 2 MiB: this node gives a job 1 MiB at most (agent.job_tmp_max)");
  EXPECT_FALSE(GiveRoom({}, 3 << 20, broker, plan)) << "half of the node's memory";
  plan.spec.env = {Cat(kJobTmpVariable, "=much")};
  EXPECT_FALSE(GiveRoom({}, kMemory, broker, plan));
}

TEST_F(JobRoomTest, WithoutRootEachStepHasItsOwnInstead) {
  broker.rootless = true;
  ASSERT_TRUE(GiveRoom({.tmp_bytes = 5 << 20, .shm_bytes = 1}, kMemory, broker, plan));
  EXPECT_EQ(plan.room.tmp_bytes, 0U);
  EXPECT_EQ(plan.spec.private_tmp_bytes, 5U << 20);
  EXPECT_TRUE(plan.spec.private_shm);
  EXPECT_EQ(plan.spec.job_tmp, "");
}

}  // namespace
}  // namespace slipway
