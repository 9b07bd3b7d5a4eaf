// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/policy.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace slipway {
namespace {

using testing::HasSubstr;

Code Judge(const ContainerPolicy& policy, const ImageFacts& facts) {
  auto judged = JudgeImage(policy, facts);
  return judged ? Code::kOk : judged.error().code;
}

TEST(ImagePolicy, AllowsAnythingByDefault) {
  for (const char* kind : {"sif", "squashfs", "directory", "store"})
    EXPECT_EQ(Judge({}, {.name = "x", .kind = kind, .owner = 7}), Code::kOk) << kind;
}

TEST(ImagePolicy, EachLimitRefusesAndNamesItsKey) {
  ImageFacts facts{.name = "x", .kind = "sif", .owner = 1000, .group = 100};
  struct {
    ContainerPolicy policy;
    const char* key;
  } cases[] = {{{.image_kinds = {"store"}}, "allow_images"},
               {{.limit_owners = {0, 1001}}, "limit_owners"},
               {{.limit_groups = {101}}, "limit_groups"},
               {{.limit_paths = {"/opt"}}, "limit_paths"},
               {{.signed_by = {"ABCD"}}, "signed_by"}};
  for (const auto& [policy, key] : cases) {
    auto judged = JudgeImage(policy, facts);
    ASSERT_FALSE(judged) << key;
    EXPECT_EQ(judged.error().code, Code::kPermissionDenied);
    EXPECT_THAT(judged.error().message, HasSubstr(key));
    EXPECT_THAT(judged.error().message, HasSubstr("starter.conf"));
  }
  facts.within_paths = true;
  EXPECT_EQ(Judge({.limit_owners = {1000}, .limit_groups = {100}, .limit_paths = {"/opt"}}, facts),
            Code::kOk);
}

TEST(ImagePolicy, TheStoresImagesHaveNoOwnerToLimit) {
  EXPECT_EQ(Judge({.limit_owners = {1}, .limit_paths = {"/opt"}}, {.name = "x", .kind = "store"}), Code::kOk);
}

TEST(ImagePolicy, ASignatureThatNobodyVerifiedIsNone) {  // CVE-2020-13845: fail closed
  ContainerPolicy policy{.signed_by = {"ABCD", "EF01"}};
  for (const char* kind : {"sif", "store"}) {
    EXPECT_EQ(Judge(policy, {.name = "x", .kind = kind}), Code::kPermissionDenied);
    EXPECT_EQ(Judge(policy, {.name = "x", .kind = kind, .signed_by = {"FFFF", ""}}), Code::kPermissionDenied);
    EXPECT_EQ(Judge(policy, {.name = "x", .kind = kind, .signed_by = {"FFFF", "EF01"}}), Code::kOk);
  }
}

TEST(BindPolicy, WithoutUserBindsOnlyTheUsualOnesAndHisOwnAtTheirPlace) {
  ContainerPolicy policy{.user_binds = false};
  EXPECT_TRUE(JudgeBind(policy, {"/tmp", "/tmp"}));
  EXPECT_TRUE(JudgeBind(policy, {"/home/u", "/home/u", true}));
  EXPECT_FALSE(JudgeBind(policy, {"/home/u", "/data", true}));
  EXPECT_FALSE(JudgeBind(policy, {"/home/v", "/home/v", false}));
  EXPECT_FALSE(JudgeBind(policy, {"/tmp", "/etc"}));
  EXPECT_TRUE(JudgeBind({}, {"/home/v", "/data"}));
  EXPECT_FALSE(JudgeBind({}, {.source = "/x", .target = "/x", .forbidden = true}));
}

TEST(LayerPolicy, NothingWritableWhereTheSiteSaysSo) {
  LaunchSpec spec;
  spec.writable_tmpfs = true;
  EXPECT_TRUE(JudgeLayers({}, spec));
  EXPECT_FALSE(JudgeLayers({.overlay = false}, spec));
  spec.writable_tmpfs = false;
  EXPECT_TRUE(JudgeLayers({.overlay = false}, spec));
}

TEST(CapabilityPolicy, DefaultsAreKeptAndWhatIsAllowedBoundsWhatIsAsked) {
  ContainerPolicy policy{.default_capabilities = {"CAP_CHOWN"}, .allowed_capabilities = {"CAP_SYS_PTRACE"}};
  Confinement wanted;
  BirthRules rules;
  ASSERT_TRUE(SetCapabilities(policy, wanted, rules));
  EXPECT_EQ(NamesOf(wanted.capabilities), "CAP_CHOWN");
  EXPECT_EQ(rules.capabilities_max, *CapabilitiesNamed("chown,sys_ptrace"));
  EXPECT_FALSE(SetCapabilities({.allowed_capabilities = {"CAP_NONSENSE"}}, wanted, rules));
}

TEST(TmpfsPolicy, TheSmallerOfTheTwoCounts) {
  ContainerPolicy policy{.tmpfs_bytes = 1 << 20};
  EXPECT_EQ(TmpfsSize({}, "5g"), "5g");
  EXPECT_EQ(TmpfsSize({}, ""), "");
  for (const char* asked :
       {"", "5g", "2m", "1048577", "50%", "x", "0", "99999999999999999999", "18014398509481985k"})
    EXPECT_EQ(TmpfsSize(policy, asked), "1048576") << asked;
  for (const char* asked : {"1m", "4k", "1000", "1048576"}) EXPECT_EQ(TmpfsSize(policy, asked), asked);
}

TEST(ForcedBinds, AreReadAsWritten) {
  auto mounts = ForcedBinds({.binds = {"/opt/site", "/a:/b", "/c:ro", "/d:/e:ro"}});
  ASSERT_EQ(mounts.size(), 4u);
  const char* expected[][2] = {{"/opt/site", "/opt/site"}, {"/a", "/b"}, {"/c", "/c"}, {"/d", "/e"}};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(mounts[i].source, expected[i][0]);
    EXPECT_EQ(mounts[i].target, expected[i][1]);
    EXPECT_EQ(mounts[i].read_only, i >= 2);
    EXPECT_TRUE(mounts[i].forced);
  }
}

struct Places : testing::Test {
  std::string dir = MakeTempDirectory("/tmp", "slipway-places-").value();
  void SetUp() override {
    for (const char* folder : {"/scratch/deep", "/scratch2"}) ASSERT_TRUE(MakeDirectories(dir + folder));
    for (const char* file : {"/scratch/deep/f", "/scratch2/f"})
      ASSERT_TRUE(WriteFileAtomically(dir + file, "x"));
    ASSERT_EQ(::symlink((dir + "/scratch2").c_str(), (dir + "/scratch/link").c_str()), 0);
  }
  ~Places() override { EXPECT_TRUE(RemoveTree(dir)); }
  bool Within(const std::string& path, const std::string& folder) {
    return IsWithin(Open(dir + path, O_PATH).value().get(), dir + folder).value();
  }
};

TEST_F(Places, AreComparedByComponentNotByPrefix) {  // CVE-2026-48785
  EXPECT_TRUE(Within("/scratch/deep/f", "/scratch"));
  EXPECT_TRUE(Within("/scratch/deep", "/scratch/deep"));
  EXPECT_FALSE(Within("/scratch2/f", "/scratch"));
  EXPECT_FALSE(Within("/scratch/deep/f", "/scr"));
  EXPECT_FALSE(Within("/scratch/link/f", "/scratch")) << "what is opened counts, not how it was named";
  EXPECT_TRUE(Within("/scratch/link/f", "/scratch2"));
  EXPECT_FALSE(Within("/scratch", "/none"));
}

TEST_F(Places, AForbiddenOneIsRefusedFromAboveAndFromBelow) {
  ContainerPolicy policy{.forbidden_binds = {dir + "/scratch/deep", dir + "/none"}};
  auto forbidden = [&](const std::string& path) {
    Mount mount;
    mount.source = dir + path;
    return FactsOfBind(policy, mount, Open(dir + path, O_PATH).value().get()).value().forbidden;
  };
  EXPECT_TRUE(forbidden("/scratch/deep/f"));
  EXPECT_TRUE(forbidden("/scratch/deep"));
  EXPECT_TRUE(forbidden("/scratch")) << "it would be seen inside";
  EXPECT_FALSE(forbidden("/scratch2"));
}

}  // namespace
}  // namespace slipway
