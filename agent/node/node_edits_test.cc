// SPDX-License-Identifier: Apache-2.0
#include "agent/node/node_edits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/os/fd.h"

namespace slipway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class NodeEditsTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = *MakeTempDirectory("/tmp", "slipway-node-edits-");
    folders_ = {{path_}, {path_ + "/hooks.d"}};
    ASSERT_TRUE(MakeDirectories(path_ + "/hooks.d"));
    LaunchCredential credential;
    credential.gid = 100;
    credential.groups = {44};
    plan_.credential.body = Encode(credential);
    plan_.spec.argv = {"lmp"};
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(path_)); }
  void Device(const std::string& edits) {
    ASSERT_TRUE(WriteFileAtomically(
        path_ + "/v.json",
        Cat(R"({"cdiVersion": "1.0.0", "kind": "v.com/gpu", "devices": [{"name": "0", "containerEdits": )",
            edits, "}]}")));
    launch_.mutable_program()->clear_devices();
    launch_.mutable_program()->add_devices("v.com/gpu=0");
  }
  void HookFile(const std::string& stages) {
    ASSERT_TRUE(WriteFileAtomically(
        path_ + "/hooks.d/h.json",
        Cat(R"({"version": "1.0.0", "hook": {"path": "/h"}, "when": {"commands": ["^lmp$"]}, "stages": [)",
            stages, "]}")));
  }
  auto Add() { return AddNodeEdits(launch_, folders_, devices_, plan_); }
  std::string path_;
  EditFolders folders_;
  NodeDevices devices_;
  v1::LaunchStep launch_;
  LaunchPlan plan_;
};

TEST_F(NodeEditsTest, AStepWithoutThemStaysAsItIs) {
  auto notes = Add();
  ASSERT_TRUE(notes) << notes.error().message;
  EXPECT_TRUE(notes->empty());
  EXPECT_TRUE(plan_.spec.mounts.empty());
}

TEST_F(NodeEditsTest, DevicesBecomeMountsVariablesAndHooksOfTheStep) {
  Device(R"({"env": ["GPU=0"], "deviceNodes": [{"path": "/dev/null"}], "additionalGids": [44],
             "hooks": [{"hookName": "createContainer", "path": "/c"}]})");
  ASSERT_TRUE(Add());
  ASSERT_EQ(plan_.spec.mounts.size(), 1U);
  EXPECT_EQ(plan_.spec.mounts[0].target, "/dev/null");
  EXPECT_THAT(plan_.spec.env, ElementsAre("GPU=0"));
  ASSERT_EQ(plan_.spec.hooks.size(), 1U);
}

TEST_F(NodeEditsTest, WhatCannotBeHadIsSaid) {
  Device(R"({"additionalGids": [45]})");
  EXPECT_THAT(Add().error().message, HasSubstr("group 45"));
  Device(R"({"hooks": [{"hookName": "prestart", "path": "/c"}]})");
  EXPECT_THAT(Add().error().message, HasSubstr("/c run at prestart, which a step of a job does not have"));
  launch_.mutable_program()->add_devices("v.com/gpu=1");
  EXPECT_THAT(Add().error().message, HasSubstr("--device: v.com/gpu=1: this node has no such device"));
}

TEST_F(NodeEditsTest, AnAdminsHookOfAnotherStageIsLeftOutWithANote) {
  HookFile(R"("prestart", "createContainer")");
  auto notes = Add();
  ASSERT_TRUE(notes) << notes.error().message;
  EXPECT_THAT(*notes, ElementsAre(HasSubstr("hook /h: left out, a step of a job has no stage prestart")));
  ASSERT_EQ(plan_.spec.hooks.size(), 1U);
  EXPECT_EQ(plan_.spec.hooks[0].stage, HookStage::kCreateContainer);
}

}  // namespace
}  // namespace slipway
