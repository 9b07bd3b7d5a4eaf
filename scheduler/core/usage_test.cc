// SPDX-License-Identifier: Apache-2.0
// What is charged, when, and how it decays.
#include "scheduler/core/usage.h"

#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

std::uint64_t UsageOf(const TestCluster& c, std::uint32_t uid = 20001) {
  return c.state().usage.at({kDefaultAccount, uid});
}

TEST(Usage, AJobIsChargedForItsCoresAndItsTime) {
  Site site;
  site.usage.half_life_s = 0;
  TestCluster c(1, 4, 8 << 20, site);
  JobId job = c.Submit(SmallJob(3));
  c.now = c.now.PlusSeconds(100);
  c.Finish(job);
  EXPECT_NEAR(static_cast<double>(UsageOf(c)), 3 * 100 * 1000, 10);
}

TEST(Usage, WhatRunsIsChargedWhileItRuns) {
  Site site;
  site.usage.half_life_s = 0;
  site.usage.recalculate_s = 60;
  TestCluster c(1, 4, 8 << 20, site);
  JobId job = c.Submit(SmallJob(2));
  c.Pass(600);
  c.Do(ChangeJob{{1}, job, {0, true}, {.nice = 1}});  // any event
  EXPECT_EQ(UsageOf(c), 2U * 600 * 1000);
  c.Pass(30);
  c.Finish(job);
  EXPECT_NEAR(static_cast<double>(UsageOf(c)), 2 * 630 * 1000, 10) << "nothing is charged twice";
}

TEST(Usage, HalvesInEachHalfLifeHoweverItIsLookedAt) {
  Site site;
  site.usage.half_life_s = 3600;
  site.usage.recalculate_s = 60;
  TestCluster often(1, 4, 8 << 20, site), seldom(1, 4, 8 << 20, site);
  for (TestCluster* c : {&often, &seldom}) {
    JobId job = c->Submit(SmallJob(4));
    c->now = c->now.PlusSeconds(600);
    c->Finish(job);
  }
  double before = static_cast<double>(UsageOf(often));
  for (int i = 0; i < 60; ++i) {
    often.now = often.now.PlusSeconds(60);
    often.Do(ReportImage{"n1", Cat("sha256:", i)});
  }
  seldom.now = often.now;
  seldom.Do(ReportImage{"n1", "sha256:0"});
  EXPECT_NEAR(static_cast<double>(UsageOf(often)), before / 2, before / 1e4);
  EXPECT_NEAR(static_cast<double>(UsageOf(seldom)), static_cast<double>(UsageOf(often)), 100);
}

TEST(Usage, ALongGapChargesARunningJobAsManyShortOnesDo) {
  Site site;
  site.usage.half_life_s = 3600;
  site.usage.recalculate_s = 60;
  TestCluster often(1, 4, 8 << 20, site), seldom(1, 4, 8 << 20, site);
  (void)often.Submit(SmallJob(4));
  (void)seldom.Submit(SmallJob(4));
  for (int i = 0; i < 200; ++i) {
    often.now = often.now.PlusSeconds(60);
    often.Do(ReportImage{"n1", Cat("sha256:", i)});
  }
  seldom.now = often.now;
  seldom.Do(ReportImage{"n1", "sha256:0"});
  double expected = static_cast<double>(UsageOf(often));
  EXPECT_GT(expected, 0);
  EXPECT_NEAR(static_cast<double>(UsageOf(seldom)), expected, expected / 1e4);
}

TEST(Usage, SurvivesARestartAndASnapshot) {
  TestCluster c(1);
  JobId job = c.Submit(SmallJob(2));
  c.Pass(1000);
  c.Finish(job);
  std::uint64_t before = UsageOf(c);
  EXPECT_GT(before, 0U);
  c.Restart();
  EXPECT_EQ(UsageOf(c), before);
  EXPECT_EQ(DecodeState(EncodeState(c.state()))->usage, c.state().usage);
}

}  // namespace
}  // namespace slipway::scheduler
