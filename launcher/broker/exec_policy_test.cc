// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/exec_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace slipway {
namespace {

constexpr auto kBoth = {ExecWay::kBrokered, ExecWay::kSetuid};
const UserIds kAlice{1000, 100, {}};

TEST(ExecPolicy, IsOpenByDefaultButNotToRootOrStrangers) {
  for (ExecWay way : kBoth) {
    EXPECT_TRUE(JudgeExec({}, way, kAlice, true));
    EXPECT_TRUE(JudgeImport({}, way, kAlice));
    for (const UserIds& who : {UserIds{0, 100}, UserIds{1000, 0}, UserIds{65534, 100}, UserIds{1000, 65534},
                               UserIds{kNoId, 100}, UserIds{1000, kNoId}})
      EXPECT_EQ(JudgeExec({}, way, who, false).error().code, Code::kPermissionDenied)
          << who.uid << " " << who.gid;
    EXPECT_TRUE(JudgeExec({}, way, {0x80000001u, 0x80000002u}, false)) << "ids above 2^31 are ids";
  }
}

TEST(ExecPolicy, EachWayHasItsSwitch) {
  BrokerConf conf;
  conf.allow_setuid = false;
  EXPECT_FALSE(JudgeExec(conf, ExecWay::kSetuid, kAlice, false));
  EXPECT_TRUE(JudgeExec(conf, ExecWay::kBrokered, kAlice, false));
  conf = {};
  conf.allow_exec = false;
  EXPECT_TRUE(JudgeExec(conf, ExecWay::kSetuid, kAlice, false));
  EXPECT_FALSE(JudgeExec(conf, ExecWay::kBrokered, kAlice, false));
}

TEST(ExecPolicy, TheStoreCanBeShut) {
  BrokerConf conf;
  conf.container.image_kinds = {"sif"};
  for (ExecWay way : kBoth) {
    EXPECT_FALSE(JudgeExec(conf, way, kAlice, true));
    EXPECT_TRUE(JudgeExec(conf, way, kAlice, false));
    EXPECT_FALSE(JudgeImport(conf, way, kAlice));
  }
}

TEST(ExecPolicy, ALimitOnImagesIsNotWalkedRoundByImporting) {
  for (const char* text :
       {"limit_owners = 0", "limit_groups = 5", "limit_paths = /opt", "allow_import = no"}) {
    BrokerConf conf = ParseConf(text).value();
    for (ExecWay way : kBoth) {
      EXPECT_FALSE(JudgeImport(conf, way, kAlice)) << text;
      EXPECT_TRUE(JudgeExec(conf, way, kAlice, true)) << text;
    }
  }
}

}  // namespace
}  // namespace slipway
