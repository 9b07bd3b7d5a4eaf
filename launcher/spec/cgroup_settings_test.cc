// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/cgroup_settings.h"

#include <gmock/gmock.h>

namespace slipway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
constexpr auto kJob = CgroupSetting::kJob, kTasks = CgroupSetting::kTasks;

TEST(CgroupSettings, AJobIsBoundedAsAWholeAndItsRanksBySomewhatLess) {
  auto settings =
      CgroupSettingsOf({.cores = 2, .processes_max = 100, .memory_bytes = 1 << 30, .cpus = {0, 1, 2, 5}});
  ASSERT_TRUE(settings);
  EXPECT_TRUE(CheckCgroupSettings(*settings));
  EXPECT_THAT(*settings,
              IsSupersetOf<CgroupSetting>({{kJob, "memory.max", std::to_string((1 << 30) + (64 << 20))},
                                           {kTasks, "memory.max", std::to_string(1 << 30)},
                                           {kTasks, "memory.oom.group", "1"},
                                           {kTasks, "memory.swap.max", "0"},
                                           {kTasks, "pids.max", "100"},
                                           {kTasks, "cpu.max", "200000 100000"},
                                           {kJob, "cpu.weight", "20"},
                                           {kJob, "cpuset.cpus", "0-2,5"}}));
}

TEST(CgroupSettings, WhatIsNotLimitedHasNoLine) { EXPECT_THAT(*CgroupSettingsOf({}), ElementsAre()); }

TEST(CgroupSettings, TheSitesLinesComeOverOursAndTheirPercentagesAreOfTheJobsMemory) {
  CgroupShare share{.memory_bytes = 1000,
                    .site = {"memory.high=90%", "memory.swap.max=50%", "io.weight=30", "cpu.weight=7"}};
  share.cores = 4;
  auto settings = CgroupSettingsOf(share);
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_THAT(*settings, IsSupersetOf<CgroupSetting>({{kTasks, "memory.high", "900"},
                                                      {kTasks, "memory.swap.max", "500"},
                                                      {kJob, "io.weight", "30"},
                                                      {kJob, "cpu.weight", "7"}}));
  share.memory_bytes = 0;
  settings = CgroupSettingsOf(share);
  for (const CgroupSetting& setting : *settings) EXPECT_NE(setting.file, "memory.high");
}

TEST(CgroupSettings, OnlyLimitsOfKnownControllersAreWritten) {
  for (const char* file : {"cgroup.procs", "memory", "memory.", "../memory.max", "memory.max/x",
                           "memoryx.max", "cpuset.cpus\n"}) {
    auto checked = CheckCgroupSettings({{kTasks, file, "1"}});
    ASSERT_FALSE(checked) << file;
    EXPECT_THAT(checked.error().message, HasSubstr("is no limit of memory"));
    EXPECT_FALSE(CgroupSettingsOf({.site = {Cat(file, "=1")}})) << file;
  }
  EXPECT_FALSE(CheckCgroupSettings({{kTasks, "memory.max", "1\n2"}}));
  EXPECT_FALSE(CheckCgroupSettings({{static_cast<CgroupSetting::Level>(9), "memory.max", "1"}}));
  EXPECT_FALSE(
      CheckCgroupSettings(std::vector<CgroupSetting>(kCgroupSettingsMax + 1, {kTasks, "memory.max", "1"})));
}

TEST(CgroupSettings, ALineOfTheSiteThatMeansNothingIsNamed) {
  for (const char* line : {"memory.high", "memory.high=x%", "memory.high=2000%", "cgroup.freeze=1"}) {
    auto settings = CgroupSettingsOf({.memory_bytes = 1000, .site = {line}});
    ASSERT_FALSE(settings) << line;
    EXPECT_THAT(settings.error().message, HasSubstr("cgroup"));
  }
}

TEST(CgroupSettings, NumbersAreListedInRanges) {
  EXPECT_EQ(NumberList({}), "");
  EXPECT_EQ(NumberList({7}), "7");
  EXPECT_EQ(NumberList({3, 1, 2, 2, 9}), "1-3,9");
}

}  // namespace
}  // namespace slipway
