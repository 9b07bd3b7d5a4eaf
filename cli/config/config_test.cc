// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/config/conf_text.h"
#include "cli/config/host.h"

namespace slipway::cli {
namespace {

using testing::HasSubstr;

TEST(ConfigCheck, ShowsTheMistakeWhereItIsAndWhatWasMeant) {
  EXPECT_EQ(ExplainMistake("f", "node = a\nallow_setuid = yes\n"), "");
  EXPECT_EQ(ExplainMistake("f", "node = a\n  alow_setuid = yes\n"),
            "f: line 2, column 3: unknown key 'alow_setuid'\n    alow_setuid = yes\n    ^\n  did you mean "
            "allow_setuid?\n");
  EXPECT_EQ(ExplainMistake("f", "allow_exec = maybe\n"),
            "f: line 1, column 14: allow_exec must be yes or no, not 'maybe'\n  allow_exec = maybe\n         "
            "      ^\n");
}

TEST(ConfigShow, SaysEveryKeyWithDefaultsAsComments) {
  std::string shown = *ShowConf("allow_setuid = no\nlimit_owners = 0 5\ntmpfs_size = 1k\n");
  for (const char* line :
       {"allow_setuid = no\n", "limit_owners = 0 5\n", "tmpfs_size = 1024\n", "# allow_exec = yes\n",
        "# allow_images = sif squashfs directory store\n", "# agent_uid = \n"})
    EXPECT_THAT(shown, HasSubstr(line));
  EXPECT_FALSE(ShowConf("x = 1"));
}

HostFacts Good() {
  HostFacts facts;
  facts.userns_max = "96000";
  facts.fuse_usable = facts.squashfuse = facts.starter_setuid = facts.broker_serves = true;
  facts.starter = "/usr/libexec/slipway/slipway-starter";
  return facts;
}
const Finding& Of(const std::vector<Finding>& findings, const std::string& what) {
  for (const Finding& finding : findings) {
    if (finding.what == what) return finding;
  }
  static const Finding kNone;
  return kNone;
}

TEST(ConfigHost, AHostThatLacksNothingHasAllWays) {
  for (const Finding& finding : JudgeHost(Good()))
    EXPECT_TRUE(finding.good && finding.mend.empty()) << finding.what;
}

TEST(ConfigHost, SaysWhichWaysRemainAndHowToMendTheOthers) {
  HostFacts facts = Good();
  facts.userns_clone = "0";
  auto findings = JudgeHost(facts);
  EXPECT_TRUE(Of(findings, "brokered").good && Of(findings, "setuid").good);
  EXPECT_FALSE(Of(findings, "rootless").good);
  EXPECT_THAT(Of(findings, "rootless").mend, HasSubstr("kernel.unprivileged_userns_clone=1"));
  facts = Good();
  facts.userns_max = "0";
  for (const char* way : {"brokered", "setuid", "rootless"})
    EXPECT_FALSE(Of(JudgeHost(facts), way).good) << way;
  facts = Good();
  facts.apparmor_restricts = "1";
  EXPECT_THAT(Of(JudgeHost(facts), "rootless").mend, HasSubstr("AppArmor profile"));
  facts = Good();
  facts.starter_setuid = false;
  EXPECT_THAT(Of(JudgeHost(facts), "setuid").mend, HasSubstr("chmod 4755"));
  facts = Good();
  facts.conf_trusted = false;
  EXPECT_FALSE(Of(JudgeHost(facts), "setuid").good);
  EXPECT_FALSE(Of(JudgeHost(facts), "starter.conf").good);
  facts = Good();
  facts.broker_serves = facts.fuse_usable = false;
  EXPECT_FALSE(Of(JudgeHost(facts), "brokered").good);
  EXPECT_THAT(Of(JudgeHost(facts), "fuse").mend, HasSubstr("/dev/fuse"));
}

}  // namespace
}  // namespace slipway::cli
