// SPDX-License-Identifier: Apache-2.0
// The node's own life, as the controller hears of it.
#include <gtest/gtest.h>

#include <filesystem>

#include "agent/node/fakes_test.h"
#include "agent/node/virtual_node_test.h"
#include "api/pki.h"
#include "base/crypto/crypto.h"
#include "base/os/process_name.h"

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
  void Launch(std::uint32_t lease_s = 0) {
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
    launch.set_lease_s(lease_s);
    controller_->Send(message);
  }
  bool UntilWithBeats(const std::function<bool()>& condition);
  static std::int64_t WallMs() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
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
  std::uint64_t answered_ = 0;
  std::string dir_, digest_ = DigestOf("image");
  std::unique_ptr<EpollLoop> loop_;
  std::unique_ptr<FakeController> controller_;
  std::unique_ptr<VirtualNode> node_;
};

// On a compute node such threads of gRPC's would be noise under every job (call_thread.h).
TEST_F(AgentLife, NoThreadOfItLooksAgainAndAgainWhetherThereIsSomething) {
  Start();
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task"))
    EXPECT_NE(ReadFile((task.path() / "comm").string()).value_or(std::string()), "nexting_thread\n");
}

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

TEST_F(AgentLife, AStepThatCouldNotBeKilledAndWentWhileTheBrokerWasAwayIsForgiven) {
  Start();
  Launch();
  ASSERT_TRUE(Until([&] { return node_->stepd(kStep) != nullptr; }));
  std::string word = "step 42.1.0: process 7 (dd), state D in nfs_wait, does not end";
  node_->broker.Stuck(kStep, "process 7 (dd), state D in nfs_wait, does not end");
  ASSERT_TRUE(Until([&] { return Condition() == word; }));
  // While it is there, a broker that came anew does not change that.
  node_->broker.DropConnections();
  node_->broker.listed_steps = 0;
  ASSERT_TRUE(Until([&] { return node_->broker.listed_steps > 0; }));
  EXPECT_EQ(Condition(), word);
  node_->broker.DropConnections();
  node_->broker.Gone(kStep);  // nobody hears it
  EXPECT_TRUE(Until([&] { return Condition() == ""; }));
}

TEST_F(AgentLife, ANodeWhoseImageStoreCannotBeReadRegistersAndSaysSo) {
  node_->broker.store_error = "open /var/lib/slipway/images: Input/output error";
  Start();
  EXPECT_TRUE(
      Until([&] { return Condition() == "image store: open /var/lib/slipway/images: Input/output error"; }));
  node_->broker.store_error.clear();
  node_->broker.DropConnections();
  EXPECT_TRUE(Until([&] { return Condition() == ""; }));
}

TEST_F(AgentLife, AnImageStoreWhoseDiskIsGoneMakesTheNodeUnfitUntilItIsBack) {
  node_->health.interval = std::chrono::seconds(1);
  node_->broker.image_dir = dir_ + "/store";
  Start();
  EXPECT_TRUE(Until([&] { return Condition() == Cat("disk: ", dir_, "/store: No such file or directory"); }));
  ASSERT_TRUE(MakeDirectories(dir_ + "/store"));
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

// Answers each heartbeat once, until the condition holds.
bool AgentLife::UntilWithBeats(const std::function<bool()>& condition) {
  return Until([&] {
    for (auto& m : controller_->Received()) {
      if (!m.has_heartbeat() || m.heartbeat().sequence() <= answered_) continue;
      v1::ToNode ack;
      ack.mutable_heartbeat_ack()->set_sequence(answered_ = m.heartbeat().sequence());
      ack.mutable_heartbeat_ack()->set_time_ms(WallMs());
      controller_->Send(ack);
    }
    return condition();
  });
}

TEST_F(AgentLife, AJobsLeaseIsRenewedByAnsweredHeartbeatsAndOutlivesTheAgent) {
  Start();
  std::uint64_t before = BootMilliseconds();
  Launch(60);
  ASSERT_TRUE(Until([&] { return node_->stepd(kStep) != nullptr; }));
  std::uint64_t first = node_->broker.leases.at(kStep);
  EXPECT_LE(first, BootMilliseconds() + 60'000) << "counted from what was answered, no later";
  EXPECT_GT(first, before);
  ASSERT_TRUE(UntilWithBeats([&] { return node_->broker.leases.at(kStep) > first; }));
  std::uint64_t last = node_->broker.leases.at(kStep);
  controller_->Stop();
  node_->agent.reset();
  node_->broker.leases.clear();  // a new broker knows none
  node_->StartAgent("127.0.0.1:1");
  ASSERT_TRUE(Until([&] { return node_->broker.leases.contains(kStep); }));
  EXPECT_EQ(node_->broker.leases.at(kStep), last) << "a new agent gives no more time than the last one had";
}

TEST_F(AgentLife, AStepThatTheBrokerEndedForItsLeaseIsReportedSo) {
  node_->lease = std::chrono::seconds(60);
  Start();
  Launch();
  ASSERT_TRUE(Until([&] { return node_->stepd(kStep) != nullptr; }));
  EXPECT_TRUE(node_->broker.leases.contains(kStep)) << "the node's, where the job has none";
  node_->broker.Gone(kStep, kLeaseOver);
  v1::StepReport ended;
  ASSERT_TRUE(Until([&] {
    for (auto& m : controller_->Received()) {
      if (m.has_report() && m.report().kind() == v1::StepReport::ENDED) ended = m.report();
    }
    return ended.has_step();
  }));
  EXPECT_EQ(ended.end(), v1::StepReport::LEASE_OVER);
  EXPECT_EQ(ended.reason(), "LEASE: no controller for 60 s");
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
  EXPECT_TRUE(node_->broker.leases.empty());
}

}  // namespace
}  // namespace slipway
