// SPDX-License-Identifier: Apache-2.0
// For the agent's tests: a cluster's keys, a controller that only listens and says what it is told to, one
// node, and a step that it may be told to launch.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include "agent/node/fakes_test.h"
#include "agent/node/virtual_node_test.h"
#include "api/pki.h"
#include "base/crypto/crypto.h"

namespace slipway {

inline constexpr StepId kStep{42, 1, 0};

inline bool IsReport(const v1::FromNode& m, v1::StepReport::Kind kind) {
  return m.has_report() && m.report().kind() == kind;
}

class AgentTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    // Keys take a moment to make; all tests of the suite share them.
    cluster_dir_ = *MakeTempDirectory("/tmp", "slipway-agent-pki-");
    ASSERT_TRUE(InitCluster(cluster_dir_ + "/cluster", "test"));
    for (const char* node : {"n1", "n2"}) ASSERT_TRUE(IssueNode(cluster_dir_ + "/cluster", node));
  }
  static void TearDownTestSuite() { ASSERT_TRUE(RemoveTree(cluster_dir_)); }
  void SetUp() override {
    dir_ = *MakeTempDirectory(cluster_dir_, "t-");
    ASSERT_EQ(::symlink((cluster_dir_ + "/cluster").c_str(), (dir_ + "/cluster").c_str()), 0);
    loop_ = std::move(*EpollLoop::Make());
    controller_ = std::make_unique<FakeController>(dir_ + "/cluster");
    controller_->images.bytes = RandomBytes(300000);
    digest_ = DigestOf(controller_->images.bytes);
    n1_ = std::make_unique<VirtualNode>(*loop_, dir_, "n1");
  }
  void TearDown() override {
    n1_.reset();
    n2_.reset();
    controller_.reset();
    loop_.reset();
  }

  bool Until(const std::function<bool()>& condition) { return TurnUntil(*loop_, condition); }
  bool Reported(v1::StepReport::Kind kind) {
    return Until([&] { return controller_->Count([&](auto& m) { return IsReport(m, kind); }) > 0; });
  }
  v1::StepReport LastReport() {
    v1::StepReport last;
    for (auto& m : controller_->Received()) {
      if (m.has_report()) last = m.report();
    }
    return last;
  }
  v1::ToNode LaunchMessage() {
    v1::ToNode message;
    v1::LaunchStep& launch = *message.mutable_launch();
    launch.mutable_step()->set_job(kStep.job);
    launch.mutable_step()->set_attempt(kStep.attempt);
    launch.mutable_step()->set_step(kStep.step);
    launch.set_credential_body("body");
    launch.set_credential_signature("signature");
    launch.set_image_digest(digest_);
    launch.set_image_bytes(controller_->images.bytes.size());
    launch.add_nodes("n1");
    launch.add_node_addresses("127.0.0.1:1");
    launch.add_ranks()->add_ranks(0);
    launch.mutable_program()->add_argv("true");
    launch.mutable_program()->set_cwd("/");
    launch.set_uid(20001);
    launch.set_stream_output(true);
    return message;
  }
  v1::ToNode Keyed(void (*fill)(v1::ToNode&, v1::StepKey)) {
    v1::ToNode message;
    v1::StepKey key;
    key.set_job(kStep.job);
    key.set_attempt(kStep.attempt);
    key.set_step(kStep.step);
    fill(message, key);
    return message;
  }
  void Ack() {
    controller_->Send(Keyed([](v1::ToNode& m, v1::StepKey key) {
      *m.mutable_ack()->mutable_step() = key;
      m.mutable_ack()->set_sequence(3);
    }));
  }
  void StartNode() {
    n1_->StartAgent(controller_->target());
    ASSERT_TRUE(Until([&] { return controller_->Connected(); }));
  }
  void StartRunning() {
    n1_->broker.images.insert(digest_);
    StartNode();
    controller_->Send(LaunchMessage());
    ASSERT_TRUE(Reported(v1::StepReport::STARTED));
  }

  static inline std::string cluster_dir_;
  std::string dir_, digest_;
  std::unique_ptr<EpollLoop> loop_;
  std::unique_ptr<FakeController> controller_;
  std::unique_ptr<VirtualNode> n1_, n2_;
};

}  // namespace slipway
