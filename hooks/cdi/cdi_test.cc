// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/os/fd.h"
#include "hooks/cdi/cdi_spec.h"
#include "hooks/cdi/devices.h"
#include "hooks/cdi/yaml.h"

namespace slipway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// As nvidia-ctk writes it, shortened, with nodes that every host has.
constexpr const char* kVendorYaml = R"(---
cdiVersion: 0.5.0
kind: vendor.com/gpu
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/gpu0
      hostPath: /dev/null
      type: c
      permissions: rw
- name: 1
  containerEdits:
    deviceNodes:
    - path: /dev/zero
      fileMode: 0666
containerEdits:
  env:
  - VENDOR_VISIBLE_DEVICES=void
  hooks:
  - hookName: createContainer
    path: /usr/bin/vendor-hook
    args: [vendor-hook, create-symlinks, "--link", "a::b"]
    timeout: 5
  mounts:
  - hostPath: /usr/lib/libvendor.so.1
    containerPath: /usr/lib/libvendor.so.1
    options:
    - ro
    - nosuid
    - nodev
    - rbind
    - rprivate
)";

std::string Json(const std::string& version, const std::string& edits,
                 const std::string& kind = "vendor.com/net") {
  return Cat(R"({"cdiVersion": ")", version, R"(", "kind": ")", kind,
             R"(", "devices": [{"name": "a", "containerEdits": )", edits, "}]}");
}

TEST(CdiFile, IsReadFromYamlAsFromJson) {
  auto spec = ParseCdi(kVendorYaml, true);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->kind, "vendor.com/gpu");
  ASSERT_EQ(spec->devices.size(), 2U);
  EXPECT_EQ(spec->devices[1].name, "1");
  EXPECT_EQ(spec->devices[0].edits.devices[0].path, "/dev/gpu0");
  EXPECT_EQ(spec->devices[0].edits.devices[0].host_path, "/dev/null");
  EXPECT_EQ(spec->devices[1].edits.devices[0].host_path, "/dev/zero");
  EXPECT_THAT(spec->edits.env, ElementsAre("VENDOR_VISIBLE_DEVICES=void"));
  EXPECT_TRUE(spec->edits.mounts[0].read_only);
  EXPECT_EQ(spec->edits.mounts[0].options, "nodev");
  EXPECT_EQ(spec->edits.hooks[0].stage, HookStage::kCreateContainer);
  EXPECT_THAT(spec->edits.hooks[0].args, ElementsAre("vendor-hook", "create-symlinks", "--link", "a::b"));
  EXPECT_EQ(spec->edits.hooks[0].timeout_s, 5U);
}

TEST(CdiFile, WhatIsWrongIsNamed) {
  for (
      auto [text, words] : std::vector<std::pair<std::string, std::string>>{
          {"{", "not JSON: parse error at line 1"},
          {Json("0.5.0", R"({"env": ["A=1"], "envs": []})"), "unknown field \"envs\""},
          {Json("0.2.0", "{}"), "'0.2.0' is not a version"},
          {Json("2.0.0", "{}"), "'2.0.0' is not a version"},
          {Json("0.5.0", "{}", "vendor"), "is not VENDOR/CLASS"},
          {Json("0.5.0", "{}", "vendor.com/a.b"), "a class with a dot came with 0.6.0"},
          {Json("0.4.0", R"({"deviceNodes": [{"path": "/dev/a", "hostPath": "/dev/b"}]})"),
           "hostPath of a device node came with 0.5.0, the file says 0.4.0"},
          {Json("0.3.0", R"({"mounts": [{"hostPath": "/a", "containerPath": "/b", "type": "bind"}]})"),
           "type of a mount came with 0.4.0"},
          {Json("0.6.0", R"({"additionalGids": [44]})"), "additionalGids came with 0.7.0"},
          {Json("0.7.0", R"({"intelRdt": {}})"), "devices[0].containerEdits.intelRdt: classes of"},
          {Json("1.1.0", R"({"netDevices": []})"), "use the host's network"},
          {Json("0.5.0", R"({"env": ["A"]})"), "'A' is not NAME=value"},
          {Json("0.5.0", R"({"deviceNodes": [{"path": "dev/a"}]})"), "deviceNodes[0].path: 'dev/a'"},
          {Json("0.5.0", R"({"deviceNodes": [{"path": "/dev/../etc/shadow"}]})"), "holds \"..\""},
          {Json("0.5.0", R"({"mounts": [{"hostPath": "/a", "containerPath": "/"}]})"),
           "root cannot be replaced"},
          {Json("0.5.0", R"({"mounts": [{"hostPath": "/a", "containerPath": "/b", "options": ["suid"]}]})"),
           "'suid' is not an option"},
          {Json("0.5.0", R"({"hooks": [{"hookName": "never", "path": "/a"}]})"), "'never' is not a stage"},
          {Json("0.5.0", R"({"hooks": [{"hookName": "prestart", "path": "/a", "timeout": -1}]})"), "timeout"},
          {R"({"cdiVersion": "0.5.0", "kind": "v.com/c", "devices": []})", "at least one device"},
          {R"({"cdiVersion": "0.5.0", "kind": "v.com/c", "devices": [{"name": "a", "containerEdits": {}}, {"name": "a", "containerEdits": {}}]})",
           "devices[1]: a second device 'a'"},
          {R"({"cdiVersion": "0.5.0", "kind": "v.com/c", "devices": [{"name": "a b", "containerEdits": {}}]})",
           "is not a device's name"}}) {
    auto spec = ParseCdi(text, false);
    ASSERT_FALSE(spec) << text;
    EXPECT_THAT(spec.error().message, HasSubstr(words));
  }
}

TEST(CdiFile, EveryVersionFromThePromisedRangeIsRead) {
  for (const char* version :
       {"0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0", "v1.0.0"})
    EXPECT_TRUE(ParseCdi(Json(version, R"({"env": ["A=1"]})"), false)) << version;
}

TEST(Yaml, IsAsMuchAsASpecificationNeeds) {
  for (auto [text, words] :
       std::vector<std::pair<std::string, std::string>>{{"a: &x [1]\nb: *x\n", "an anchor"},
                                                        {"a: !!binary aGk=\n", "a tag"},
                                                        {"a: 1\na: 2\n", "\"a\" twice at line 2"},
                                                        {"a: 1\n---\nb: 2\n", "a second document"},
                                                        {"a: [1\n", "at line"},
                                                        {"", "nothing"},
                                                        {std::string(100, '['), "too deep"},
                                                        {"? [a]\n: 1\n", "a key that is no text"}}) {
    auto json = ParseYaml(text, 1 << 20);
    ASSERT_FALSE(json) << text;
    EXPECT_THAT(json.error().message, HasSubstr(words));
  }
  auto json = *ParseYaml("a: 0x10\nb: 0666\nc: '7'\nd: 0.5.0\ne: ~\nf: true\ng: -3\nh: 089\n", 1 << 20);
  EXPECT_EQ(json.dump(), R"({"a":16,"b":438,"c":"7","d":"0.5.0","e":null,"f":true,"g":-3,"h":"089"})");
  EXPECT_FALSE(ParseYaml("abc", 2));
}

class DevicesTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = *MakeTempDirectory("/tmp", "slipway-cdi-test-");
    for (const char* folder : {"/etc", "/run"}) ASSERT_TRUE(MakeDirectories(path_ + folder));
    folders_ = {path_ + "/etc", path_ + "/none", path_ + "/run"};
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(path_)); }
  void Put(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(path_ + name, text));
  }
  auto Resolve(const std::vector<std::string>& names) { return ResolveDevices(names, folders_); }
  std::string path_;
  std::vector<std::string> folders_;
};

TEST_F(DevicesTest, AreMergedWithWhatTheirFileSaysForAll) {
  Put("/etc/vendor.yaml", kVendorYaml);
  auto one = Resolve({"vendor.com/gpu=0"});
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(one->edits.devices.size(), 1U);
  EXPECT_EQ(one->edits.hooks.size(), 1U);
  auto all = Resolve({"vendor.com/gpu=all", "vendor.com/gpu=0"});
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(all->edits.devices.size(), 2U);
  EXPECT_EQ(all->edits.hooks.size(), 1U);
  EXPECT_EQ(all->edits.mounts.size(), 1U);
}

TEST_F(DevicesTest, OfALaterFolderReplaceTheirNamesakes) {
  Put("/etc/a.json", Json("0.5.0", R"({"env": ["FROM=etc"]})"));
  Put("/run/b.json", Json("0.5.0", R"({"env": ["FROM=run"]})"));
  EXPECT_THAT(Resolve({"vendor.com/net=a"})->edits.env, ElementsAre("FROM=run"));
}

TEST_F(DevicesTest, TwoFilesOfOneFolderThatDefineOneAreNamed) {
  Put("/etc/a.json", Json("0.5.0", R"({"env": ["FROM=a"]})"));
  Put("/etc/b.json", Json("0.5.0", R"({"env": ["FROM=b"]})"));
  EXPECT_THAT(Resolve({"vendor.com/net=a"}).error().message,
              testing::AllOf(HasSubstr("defined twice"), HasSubstr("/etc/a.json"), HasSubstr("/etc/b.json")));
}

TEST_F(DevicesTest, ThatDisagreeAreRefused) {
  Put("/etc/a.json", Json("0.5.0", R"({"env": ["X=1"]})", "a.com/x"));
  Put("/etc/b.json", Json("0.5.0", R"({"env": ["X=2"]})", "b.com/x"));
  EXPECT_THAT(Resolve({"a.com/x=a", "b.com/x=a"}).error().message,
              HasSubstr("b.com/x=a: two different values are wanted for the variable X"));
}

TEST_F(DevicesTest, ThatAreNotThereSayWhatIs) {
  Put("/etc/vendor.yaml", kVendorYaml);
  Put("/etc/broken.json", "{}");
  auto unknown = Resolve({"vendor.com/gpu=7"});
  EXPECT_THAT(unknown.error().message, testing::AllOf(HasSubstr("no such device; of that kind: 0, 1"),
                                                      HasSubstr("broken.json: cdiVersion: missing")));
  EXPECT_THAT(Resolve({"other.com/gpu=0"}).error().message, HasSubstr("kinds: vendor.com/gpu"));
  EXPECT_THAT(Resolve({"gpu0"}).error().message, HasSubstr("is not VENDOR/CLASS=NAME"));
  auto one = Resolve({"vendor.com/gpu=0"});
  ASSERT_TRUE(one);
  EXPECT_THAT(one->warnings, ElementsAre(HasSubstr("broken.json")));
}

TEST_F(DevicesTest, MustBeDeviceNodesOfThisHost) {
  Put("/etc/a.json", Json("0.5.0", R"({"deviceNodes": [{"path": "/etc/passwd"}]})"));
  EXPECT_THAT(Resolve({"vendor.com/net=a"}).error().message, HasSubstr("/etc/passwd is not a device node"));
  Put("/etc/a.json", Json("0.5.0", R"({"deviceNodes": [{"path": "/dev/no-such-node"}]})"));
  EXPECT_THAT(Resolve({"vendor.com/net=a"}).error().message, HasSubstr("/dev/no-such-node: No such file"));
}

}  // namespace
}  // namespace slipway
