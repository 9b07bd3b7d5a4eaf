// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/confinement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launcher/spec/hook.h"

namespace slipway {
namespace {

using testing::HasSubstr;

TEST(CapabilityNames, AreReadInBothSpellings) {
  EXPECT_EQ(*CapabilitiesNamed("CAP_CHOWN"), 1U);
  EXPECT_EQ(*CapabilitiesNamed("net_raw,,CAP_CHECKPOINT_RESTORE"), CapabilityBit(13) | CapabilityBit(40));
  EXPECT_EQ(*CapabilitiesNamed("All"), kAllCapabilities);
  EXPECT_EQ(*CapabilitiesNamed(""), 0U);
  EXPECT_EQ(NamesOf(CapabilityBit(13) | CapabilityBit(21)), "CAP_NET_RAW,CAP_SYS_ADMIN");
  EXPECT_EQ(NamesOf(CapabilityBit(63)), "63");
}

TEST(CapabilityNames, AWrongOneIsNamedWithTheNearest) {
  EXPECT_THAT(CapabilitiesNamed("net_raw,sys_ptrac").error().message,
              HasSubstr("'sys_ptrac' is not a capability (CAP_SYS_PTRACE?)"));
  EXPECT_THAT(CapabilitiesNamed("zzz").error().message, HasSubstr("capabilities(7)"));
}

TEST(Confinement, IsBounded) {
  EXPECT_TRUE(CheckConfinement({}));
  std::string eight(kFilterInstructionBytes, 'x');
  EXPECT_TRUE(CheckConfinement({.filter = Confinement::kGiven, .bpf = eight}));
  EXPECT_FALSE(CheckConfinement({.filter = Confinement::kGiven}));
  EXPECT_FALSE(CheckConfinement({.bpf = eight}));
  EXPECT_FALSE(CheckConfinement({.filter = Confinement::kGiven, .bpf = eight + "x"}));
  EXPECT_FALSE(
      CheckConfinement({.filter = Confinement::kGiven,
                        .bpf = std::string((kFilterInstructionsMax + 1) * kFilterInstructionBytes, 'x')}));
  EXPECT_FALSE(CheckConfinement({.filter = static_cast<Confinement::Filter>(0)}));
  EXPECT_FALSE(CheckConfinement({.apparmor_profile = "two words"}));
  EXPECT_FALSE(CheckConfinement({.apparmor_profile = "a", .selinux_label = "b"}));
}

TEST(Hooks, AreBounded) {
  Hook good{.path = "/usr/bin/true", .args = {"true"}, .env = {"A=1"}, .timeout_s = 5};
  EXPECT_TRUE(CheckHooks({good}));
  EXPECT_FALSE(CheckHooks(std::vector<Hook>(kHooksMax + 1, good)));
  for (auto spoil : {+[](Hook& h) { h.path = "true"; }, +[](Hook& h) { h.env = {"=x"}; },
                     +[](Hook& h) { h.args = {std::string("a\0b", 3)}; },
                     +[](Hook& h) { h.timeout_s = kHookTimeoutMax_s + 1; },
                     +[](Hook& h) { h.stage = static_cast<HookStage>(7); }}) {
    Hook bad = good;
    spoil(bad);
    EXPECT_FALSE(CheckHooks({bad}));
  }
  EXPECT_EQ(*StageNamed("createContainer"), HookStage::kCreateContainer);
  EXPECT_EQ(StageName(HookStage::kPoststop), "poststop");
  EXPECT_FALSE(StageNamed("createcontainer"));
}

}  // namespace
}  // namespace slipway
