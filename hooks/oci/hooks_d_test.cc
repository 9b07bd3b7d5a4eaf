// SPDX-License-Identifier: Apache-2.0
#include "hooks/oci/hooks_d.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/os/fd.h"

namespace slipway {
namespace {

using testing::HasSubstr;

std::string File(const std::string& when, const std::string& path = "/usr/bin/hook",
                 const std::string& stages = "\"createContainer\"") {
  return Cat(R"({"version": "1.0.0", "hook": {"path": ")", path,
             R"(", "args": ["hook", "x"], "env": ["A=1"], "timeout": 3}, "when": )", when, R"(, "stages": [)",
             stages, "]}");
}

std::size_t Chosen(const std::string& when, const HookOccasion& occasion = {}) {
  auto hooks = ParseHookFile(File(when), occasion);
  EXPECT_TRUE(hooks) << hooks.error().message;
  return hooks ? hooks->size() : 99;
}

TEST(HookFile, EveryConditionThatIsGivenMustHold) {
  EXPECT_EQ(Chosen(R"({"always": true})"), 1U);
  EXPECT_EQ(Chosen(R"({"always": false})"), 0U);
  HookOccasion occasion{
      .command = "/usr/bin/python3", .annotations = {{"com.example.gpu", "all"}}, .has_bind_mounts = true};
  EXPECT_EQ(Chosen(R"({"commands": [".*/python3$", "x"]})", occasion), 1U);
  EXPECT_EQ(Chosen(R"({"commands": ["/perl$"]})", occasion), 0U);
  EXPECT_EQ(Chosen(R"({"hasBindMounts": true})", occasion), 1U);
  EXPECT_EQ(Chosen(R"({"hasBindMounts": true})"), 0U);
  EXPECT_EQ(Chosen(R"({"annotations": {"^com\\.example\\.": "^(all|0)$"}})", occasion), 1U);
  EXPECT_EQ(Chosen(R"({"annotations": {"^com\\.example\\.": "^none$"}})", occasion), 0U);
  EXPECT_EQ(Chosen(R"({"always": true, "commands": ["/perl$"]})", occasion), 0U);
}

TEST(HookFile, IsOneHookForEachStage) {
  auto hooks = *ParseHookFile(File(R"({"always": true})", "/h", R"("prestart", "poststop")"), {});
  ASSERT_EQ(hooks.size(), 2U);
  EXPECT_EQ(hooks[0].stage, HookStage::kPrestart);
  EXPECT_EQ(hooks[1].stage, HookStage::kPoststop);
  EXPECT_EQ(hooks[1].timeout_s, 3U);
  EXPECT_EQ(hooks[1].env, std::vector<std::string>{"A=1"});
}

TEST(HookFile, WhatIsWrongIsNamed) {
  for (auto [text, words] : std::vector<std::pair<std::string, std::string>>{
           {"[", "not JSON"},
           {R"({"version": "0.1.0"})", "this program reads 1.0.0"},
           {File(R"({})"), "no condition"},
           {File(R"({"allways": true})"), "unknown field \"allways\""},
           {File(R"({"commands": ["("]})"), "'(' is not a regular expression"},
           {File(R"({"always": true})", "hook"), "path 'hook' is not absolute"},
           {File(R"({"always": true})", "/h", ""), "stages: none"},
           {File(R"({"always": true})", "/h", "\"before\""), "'before' is not a stage"}}) {
    auto hooks = ParseHookFile(text, {});
    ASSERT_FALSE(hooks) << text;
    EXPECT_THAT(hooks.error().message, HasSubstr(words));
  }
}

TEST(HooksD, ComeInTheOrderOfTheirNamesAndALaterFolderMasks) {
  std::string path = *MakeTempDirectory("/tmp", "slipway-hooks-test-");
  for (const char* folder : {"/usr", "/etc"}) ASSERT_TRUE(MakeDirectories(path + folder));
  auto put = [&](const std::string& name, const std::string& hook) {
    ASSERT_TRUE(WriteFileAtomically(path + name, File(R"({"always": true})", hook)));
  };
  put("/usr/10-b.json", "/masked");
  put("/usr/B.json", "/b");
  put("/usr/a.json", "/a");
  put("/etc/10-b.json", "/first");
  ASSERT_TRUE(WriteFileAtomically(path + "/etc/README", "not a hook"));
  auto hooks = *HooksFor({}, {path + "/usr", path + "/etc", path + "/none"});
  std::string order;
  for (const Hook& hook : hooks) order += hook.path;
  EXPECT_EQ(order, "/first/a/b");
  ASSERT_TRUE(WriteFileAtomically(path + "/etc/z.json", "{}"));
  EXPECT_THAT(HooksFor({}, {path + "/etc"}).error().message, HasSubstr("/etc/z.json: version: missing"));
  ASSERT_TRUE(RemoveTree(path));
}

}  // namespace
}  // namespace slipway
