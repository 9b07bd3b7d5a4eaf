// SPDX-License-Identifier: Apache-2.0
// The node's own life, as the controller hears of it.
#include <gtest/gtest.h>

#include "agent/node/fakes_test.h"
#include "agent/node/virtual_node_test.h"
#include "api/pki.h"
#include "base/crypto/crypto.h"

namespace slipway {
namespace {

constexpr StepId kStep{42, 1, 0};

class AgentLife : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = *MakeTempDirectory("/tmp", "slipway-life-");
    ASSERT_TRUE(InitCluster(dir_ + "/cluster", "test"));
    ASSERT_TRUE(IssueNode(dir_ + "/cluster", "n1"));
    loop_ = std::move(*EpollLoop::Make());
    controller_ = std::make_unique<FakeController>(dir_ + "/cluster");
    node_ = std::make_unique<VirtualNode>(*loop_, dir_, "n1");
    node_->broker.images.insert(digest_);
  }
  void TearDown() override {
    node_.reset();
    controller_.reset();
    loop_.reset();
    EXPECT_TRUE(RemoveTree(dir_));
  }
  bool Until(const std::function<bool()>& condition) { return TurnUntil(*loop_, condition); }
  void Start() {
    node_->StartAgent(controller_->target());
    ASSERT_TRUE(Until([&] { return controller_->Connected(); }));
  }
  std::string Script(const std::string& text) {
    std::string path = dir_ + "/program";
    EXPECT_TRUE(WriteFileAtomically(path, "#!/bin/sh\n" + text + "\n", 0755));
    return path;
  }
  void Launch() {
    v1::ToNode message;
    v1::LaunchStep& launch = *message.mutable_launch();
    launch.mutable_step()->set_job(kStep.job);
    launch.mutable_step()->set_attempt(kStep.attempt);
    launch.mutable_step()->set_step(kStep.step);
    launch.set_credential_body("body");
    launch.set_credential_signature("signature");
    launch.set_image_digest(digest_);
    launch.add_nodes("n1");
    launch.add_node_addresses("127.0.0.1:1");
    launch.add_ranks()->add_ranks(0);
    launch.mutable_program()->add_argv("true");
    launch.mutable_program()->set_cwd("/");
    launch.set_uid(20001);
    controller_->Send(message);
  }
  // The last word about itself; "-" when there is none.
  std::string Condition(bool* keep = nullptr) {
    std::string last = "-";
    for (auto& m : controller_->Received()) {
      if (!m.has_condition()) continue;
      last = m.condition().reason();
      if (keep != nullptr) *keep = m.condition().keep();
    }
    return last;
  }
  std::string dir_, digest_ = DigestOf("image");
  std::unique_ptr<EpollLoop> loop_;
  std::unique_ptr<FakeController> controller_;
  std::unique_ptr<VirtualNode> node_;
};

TEST_F(AgentLife, AFitNodeSaysSoAfterItHasRegistered) {
  Start();
  EXPECT_TRUE(Until([&] { return Condition() == ""; }));
}

TEST_F(AgentLife, AJobWhosePrologFailsIsGivenBackAndTheNodeDrained) {
  node_->gate.prolog = Script("echo no scratch; exit 1");
  Start();
  Launch();
  v1::StepReport refused;
  ASSERT_TRUE(Until([&] {
    for (auto& m : controller_->Received()) {
      if (m.has_report() && m.report().kind() == v1::StepReport::REFUSED) refused = m.report();
    }
    return refused.has_step();
  }));
  EXPECT_EQ(refused.end(), v1::StepReport::NODE_UNFIT);
  EXPECT_EQ(refused.reason(), "prolog of job 42: exit code 1: no scratch");
  bool keep = false;
  EXPECT_EQ(Condition(&keep), "prolog of job 42: exit code 1: no scratch");
  EXPECT_TRUE(keep);
  EXPECT_TRUE(node_->broker.specs.empty()) << "nothing of the user's ran";
  // Lost with the stream? It is said again on the next one.
  std::size_t said = controller_->Received().size();
  node_->broker.DropConnections();
  int port = controller_->port();
  controller_->Stop();
  controller_ = std::make_unique<FakeController>(dir_ + "/cluster", port);
  EXPECT_TRUE(Until([&] { return Condition(&keep) == "prolog of job 42: exit code 1: no scratch" && keep; }))
      << said;
}

TEST_F(AgentLife, AStepThatCannotBeKilledMakesTheNodeUnfitUntilItIsGone) {
  Start();
  Launch();
  ASSERT_TRUE(Until([&] { return node_->stepd(kStep) != nullptr; }));
  node_->broker.Stuck(kStep, "process 7 (dd), state D in nfs_wait, does not end");
  EXPECT_TRUE(
      Until([&] { return Condition() == "step 42.1.0: process 7 (dd), state D in nfs_wait, does not end"; }));
  node_->broker.Gone(kStep);
  EXPECT_TRUE(Until([&] { return Condition() == ""; }));
}

TEST_F(AgentLife, AClockThatIsFarFromTheControllersMakesTheNodeUnfit) {
  node_->health.interval = std::chrono::seconds(1);
  node_->health.limits.clock_offset_ms_max = 60'000;
  Start();
  ASSERT_TRUE(
      Until([&] { return controller_->Count([](const v1::FromNode& m) { return m.has_heartbeat(); }) > 0; }));
  // Each of its heartbeats is answered with the time of long ago, until it has noticed.
  std::uint64_t answered = 0;
  EXPECT_TRUE(Until([&] {
    for (auto& m : controller_->Received()) {
      if (!m.has_heartbeat() || m.heartbeat().sequence() <= answered) continue;
      v1::ToNode ack;
      ack.mutable_heartbeat_ack()->set_sequence(answered = m.heartbeat().sequence());
      ack.mutable_heartbeat_ack()->set_time_ms(1'000'000);
      controller_->Send(ack);
    }
    return Condition().starts_with("clock: more than 60000 ms ahead of the controller's");
  }));
}

TEST_F(AgentLife, WithALeaseANodeThatLosesItsControllerEndsItsSteps) {
  node_->lease = std::chrono::seconds(1);
  Start();
  Launch();
  auto told = [&] { return node_->stepd(kStep) ? node_->stepd(kStep)->Count(StepFrame::kTerminate) : 0; };
  ASSERT_TRUE(Until([&] { return node_->stepd(kStep) != nullptr; }));
  EXPECT_EQ(told(), 0);
  controller_->Stop();
  EXPECT_TRUE(Until([&] { return told() == 1; }));
}

TEST_F(AgentLife, WithoutALeaseStepsRunOnWithoutTheirController) {
  node_->health.interval = std::chrono::seconds(1);
  Start();
  Launch();
  ASSERT_TRUE(Until([&] { return node_->stepd(kStep) != nullptr; }));
  controller_->Stop();
  bool later = false;
  loop_->After(std::chrono::milliseconds(2500), [&] { later = true; });
  EXPECT_TRUE(Until([&] { return later; }));
  EXPECT_EQ(node_->stepd(kStep)->Count(StepFrame::kTerminate), 0);
}

}  // namespace
}  // namespace slipway
