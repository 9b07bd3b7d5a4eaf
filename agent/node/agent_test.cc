// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <sys/syscall.h>

#include <filesystem>
#include <thread>

#include "agent/node/agent_fixture_test.h"
#include "api/token_socket.h"

namespace slipway {
namespace {

TEST_F(AgentTest, CarriesAStepFromLaunchToForgotten) {
  StartRunning();
  const v1::Register registered = controller_->Received().front().register_();
  EXPECT_EQ(registered.facts().cores(), 2U);
  EXPECT_EQ(registered.facts().images(0), digest_);
  EXPECT_EQ(registered.facts().cannot_size(), 1);
  EXPECT_EQ(n1_->broker.credentials.at(0).body, "body");
  EXPECT_EQ(n1_->broker.specs.at(0).argv, std::vector<std::string>{"true"});

  controller_->Send(Keyed([](v1::ToNode& m, v1::StepKey key) {
    *m.mutable_credit()->mutable_step() = key;
    m.mutable_credit()->set_bytes(100);
  }));
  controller_->Send(Keyed([](v1::ToNode& m, v1::StepKey key) {
    *m.mutable_input()->mutable_step() = key;
    m.mutable_input()->set_data("hello");
  }));
  ASSERT_TRUE(Until([&] { return n1_->stepd(kStep)->Count(StepFrame::kStdin) == 1; }));
  n1_->stepd(kStep)->Send(StepFrame::kOutput, StepOutput{0, 1, "out"});
  n1_->stepd(kStep)->End({.step = kStep,
                          .exit_code = 3,
                          .reason = "rank 0 exited with 3",
                          .ranks = {{.rank = 0}},
                          .laps = {{"run", 5}}});
  ASSERT_TRUE(Reported(v1::StepReport::ENDED));
  auto received = controller_->Received();
  auto output = std::find_if(received.begin(), received.end(), [](auto& m) { return m.has_output(); });
  ASSERT_NE(output, received.end());
  EXPECT_EQ(output->output().data(), "out");
  EXPECT_EQ(LastReport().exit_code(), 3);
  EXPECT_EQ(LastReport().end(), v1::StepReport::EXITED);
  ASSERT_EQ(LastReport().laps_size(), 2);
  EXPECT_EQ(LastReport().laps(0).name(), "broker");
  EXPECT_EQ(LastReport().laps(1).name(), "run");

  Ack();
  ASSERT_TRUE(Until([&] { return n1_->stepd(kStep)->Count(StepFrame::kAcknowledge) == 1; }));
  n1_->broker.Gone(kStep);
  ASSERT_TRUE(Until([&] { return n1_->broker.forgotten.size() == 1; }));
}

TEST_F(AgentTest, WhatComesInOneMessageIsTakenInItsOrder) {
  n1_->broker.images.insert(digest_);
  StartNode();
  v1::ToNode joined = LaunchMessage();
  *joined.add_more() = Keyed([](v1::ToNode& m, v1::StepKey key) { *m.mutable_kill() = key; });
  v1::ToNode& end = *joined.add_more();
  end.mutable_end_job()->set_job(kStep.job);
  end.mutable_end_job()->set_attempt(kStep.attempt);
  controller_->Send(std::move(joined));
  ASSERT_TRUE(Reported(v1::StepReport::ENDED));
  ASSERT_TRUE(
      Until([&] { return controller_->Count([](const v1::FromNode& m) { return m.has_released(); }) == 1; }));
}

TEST_F(AgentTest, LaunchedTwiceIsStartedOnce) {
  StartRunning();
  controller_->Send(LaunchMessage());
  ASSERT_TRUE(Until(
      [&] { return controller_->Count([](auto& m) { return IsReport(m, v1::StepReport::STARTED); }) == 2; }));
  EXPECT_EQ(n1_->broker.specs.size(), 1U);
}

TEST_F(AgentTest, AnAgentMadeAnewFindsTheStepAndReportsItsEnd) {
  StartRunning();
  n1_->agent.reset();
  EXPECT_EQ(n1_->broker.steps.count(kStep), 1U);
  n1_->stepd(kStep)->End({.step = kStep, .exit_code = 9, .reason = "rank 0 exited with 9"});
  ASSERT_TRUE(Until([&] { return !controller_->Connected(); }));
  StartNode();
  ASSERT_TRUE(Reported(v1::StepReport::ENDED));
  EXPECT_EQ(LastReport().exit_code(), 9);
  EXPECT_EQ(LastReport().sequence(), 3U);
  EXPECT_EQ(n1_->broker.specs.size(), 1U);
  Ack();
  ASSERT_TRUE(Until([&] { return n1_->stepd(kStep)->Count(StepFrame::kAcknowledge) == 1; }));
  n1_->broker.Gone(kStep);
  ASSERT_TRUE(Until([&] { return n1_->broker.forgotten.size() == 1; }));
  // The next one has nothing to say about it.
  n1_->agent.reset();
  ASSERT_TRUE(Until([&] { return !controller_->Connected(); }));
  StartNode();
  EXPECT_EQ(controller_->Received().back().register_().steps_size(), 0);
}

TEST_F(AgentTest, AnEndThatNobodyHeardIsInTheNextRegistration) {
  StartRunning();
  int port = controller_->port();
  controller_.reset();
  n1_->stepd(kStep)->End({.step = kStep, .exit_code = 4});
  ASSERT_TRUE(Until([&] { return n1_->stepd(kStep)->ended; }));
  controller_ = std::make_unique<FakeController>(dir_ + "/cluster", port);
  ASSERT_TRUE(Until([&] { return controller_->Connected(); }));
  ASSERT_TRUE(Until([&] {
    return controller_->Count([](auto& m) {
      return IsReport(m, v1::StepReport::ENDED) || (m.has_register_() && m.register_().steps_size() == 1 &&
                                                    m.register_().steps(0).kind() == v1::StepReport::ENDED);
    }) > 0;
  }));
}

TEST_F(AgentTest, TheBrokersRefusalIsTheReportsReason) {
  n1_->broker.images.insert(digest_);
  n1_->broker.refusal = "step 42.1.0 has been used before";
  StartNode();
  controller_->Send(LaunchMessage());
  ASSERT_TRUE(Reported(v1::StepReport::REFUSED));
  EXPECT_EQ(LastReport().exit_code(), 125);
  EXPECT_EQ(LastReport().reason(), "step 42.1.0 has been used before");
}

TEST_F(AgentTest, AMissingImageIsFetchedInChunksOnceAndACorruptChunkAgain) {
  controller_->images.corrupt[2] = 1;
  StartNode();
  v1::ToNode prefetch;
  prefetch.mutable_prefetch()->set_digest(digest_);
  controller_->Send(prefetch);
  controller_->Send(LaunchMessage());
  ASSERT_TRUE(Reported(v1::StepReport::STARTED));
  EXPECT_TRUE(Reported(v1::StepReport::STAGING));
  EXPECT_EQ(LastReport().laps(0).name(), "stage");
  EXPECT_EQ(n1_->broker.admitted.at(digest_), controller_->images.bytes);
  std::lock_guard lock(controller_->images.mutex);
  EXPECT_EQ(controller_->images.manifests, 1);
  EXPECT_EQ(controller_->images.chunks, 6);  // five, and one again
}

TEST_F(AgentTest, AnImageThatStaysCorruptIsARefusalThatSaysSo) {
  controller_->images.corrupt[2] = 1000;
  StartNode();
  controller_->Send(LaunchMessage());
  ASSERT_TRUE(Reported(v1::StepReport::REFUSED));
  EXPECT_NE(LastReport().reason().find("chunk 2 is damaged"), std::string::npos) << LastReport().reason();
  EXPECT_TRUE(n1_->broker.admitted.empty());
}

TEST_F(AgentTest, AKillReachesStepdAndIsAnsweredByAnEnd) {
  StartRunning();
  auto kill = Keyed([](v1::ToNode& m, v1::StepKey key) { *m.mutable_kill() = key; });
  controller_->Send(kill);
  ASSERT_TRUE(Until([&] { return n1_->stepd(kStep)->Count(StepFrame::kTerminate) == 1; }));
  n1_->stepd(kStep)->End({.step = kStep, .exit_code = 143, .reason = "CANCELLED"});
  ASSERT_TRUE(Reported(v1::StepReport::ENDED));
  EXPECT_EQ(LastReport().end(), v1::StepReport::KILLED);
}

TEST_F(AgentTest, AKillOfAStepThatWasNeverSeenIsAnsweredToo) {
  StartNode();
  controller_->Send(Keyed([](v1::ToNode& m, v1::StepKey key) { *m.mutable_kill() = key; }));
  ASSERT_TRUE(Reported(v1::StepReport::ENDED));
  EXPECT_EQ(LastReport().end(), v1::StepReport::KILLED);
}

TEST_F(AgentTest, MessagesOfAnOlderEpochAreIgnored) {
  n1_->broker.images.insert(digest_);
  controller_->epoch = 5;
  StartNode();
  v1::ToNode old = LaunchMessage();
  old.set_epoch(4);
  controller_->Send(old);
  v1::ToNode prefetch;  // answered at once, and after what came before it
  prefetch.mutable_prefetch()->set_digest(digest_);
  controller_->Send(prefetch);
  ASSERT_TRUE(Until([&] { return controller_->Count([](auto& m) { return m.has_image(); }) == 1; }));
  EXPECT_TRUE(n1_->broker.specs.empty());
}

TEST_F(AgentTest, AStepdThatDiesIsReportedAsLost) {
  StartRunning();
  n1_->broker.Gone(kStep, "TIMEOUT");
  ASSERT_TRUE(Reported(v1::StepReport::ENDED));
  EXPECT_EQ(LastReport().reason(), "stepd was lost: TIMEOUT");
  EXPECT_EQ(LastReport().end(), v1::StepReport::TIME_LIMIT);
}

TEST_F(AgentTest, AStepWhoseHolderWasStartedAnewIsReportedSo) {
  StartRunning();
  std::string holder = n1_->broker.socket();
  holder.replace(holder.rfind('/'), std::string::npos, "/holder.sock");
  ASSERT_TRUE(WriteFileAtomically(holder, ""));
  std::filesystem::last_write_time(holder,
                                   std::filesystem::file_time_type::clock::now() + std::chrono::seconds(1));
  n1_->broker.Gone(kStep);
  ASSERT_TRUE(Reported(v1::StepReport::ENDED));
  EXPECT_EQ(
      LastReport().reason(),
      "stepd was lost: slipway-steps.service was started anew under it, which ends the steps of its node");
  EXPECT_EQ(LastReport().exit_code(), 137);
}

TEST_F(AgentTest, ABrokerThatRestartsIsFoundAgainAndTheStepGoesOn) {
  StartRunning();
  n1_->broker.DropConnections();
  n1_->stepd(kStep)->End({.step = kStep, .exit_code = 0});
  ASSERT_TRUE(Reported(v1::StepReport::ENDED));
  Ack();
  ASSERT_TRUE(Until([&] { return n1_->stepd(kStep)->Count(StepFrame::kAcknowledge) == 1; }));
  n1_->broker.steps[kStep] = false;  // gone while nobody listened
  n1_->broker.DropConnections();
  ASSERT_TRUE(Until([&] { return n1_->broker.forgotten.size() == 1; }));
}

TEST_F(AgentTest, EndJobEndsWhatIsLeftBeforeItSaysReleased) {
  StartRunning();
  v1::ToNode end;
  end.mutable_end_job()->set_job(kStep.job);
  end.mutable_end_job()->set_attempt(kStep.attempt);
  controller_->Send(end);
  ASSERT_TRUE(Until([&] { return controller_->Count([](auto& m) { return m.has_released(); }) == 1; }));
  EXPECT_EQ(n1_->broker.killed.size(), 1U);
  EXPECT_EQ(n1_->broker.ended_jobs.size(), 1U);
  v1::ToNode late = LaunchMessage();
  late.mutable_launch()->mutable_step()->set_step(7);
  controller_->Send(late);
  ASSERT_TRUE(Reported(v1::StepReport::REFUSED));
}

TEST_F(AgentTest, OutputKeepsToTheControllersCreditAndTheEndComesBehindIt) {
  StartRunning();
  auto bytes_received = [&] {
    std::size_t bytes = 0;
    for (auto& m : controller_->Received()) bytes += m.output().data().size();
    return bytes;
  };
  auto grant = [&](std::uint32_t bytes) {
    v1::ToNode message =
        Keyed([](v1::ToNode& m, v1::StepKey key) { *m.mutable_credit()->mutable_step() = key; });
    message.mutable_credit()->set_bytes(bytes);
    controller_->Send(message);
  };
  grant(1000);
  n1_->stepd(kStep)->Send(StepFrame::kOutput, StepOutput{0, 1, std::string(200000, 'x')});
  n1_->stepd(kStep)->End({.step = kStep});
  ASSERT_TRUE(Until([&] { return bytes_received() == 1000; }));
  // The stream breaks: what was granted on it is void, the rest waits.
  int port = controller_->port();
  controller_.reset();
  controller_ = std::make_unique<FakeController>(dir_ + "/cluster", port);
  ASSERT_TRUE(Until([&] { return controller_->Connected(); }));
  EXPECT_EQ(controller_->Received().front().register_().steps(0).kind(), v1::StepReport::STARTED);
  grant(100000);
  ASSERT_TRUE(Until([&] { return bytes_received() == 100000; }));
  EXPECT_EQ(controller_->Count([](auto& m) { return IsReport(m, v1::StepReport::ENDED); }), 0U);
  grant(1000000);
  ASSERT_TRUE(Reported(v1::StepReport::ENDED));
  EXPECT_EQ(bytes_received(), 199000U);
}

TEST_F(AgentTest, AKillDoesNotWaitForAReader) {
  StartRunning();
  n1_->stepd(kStep)->Send(StepFrame::kOutput, StepOutput{0, 1, "nobody reads this"});
  n1_->stepd(kStep)->End({.step = kStep});
  controller_->Send(Keyed([](v1::ToNode& m, v1::StepKey key) { *m.mutable_kill() = key; }));
  ASSERT_TRUE(Reported(v1::StepReport::ENDED));
}

TEST_F(AgentTest, UsersOfTheNodeGetTheirTokensFromTheController) {
  constexpr uid_t kUser = 20001;
  bool root = ::getuid() == 0;
  uid_t user = root ? kUser : ::getuid();
  ASSERT_EQ(::chmod(cluster_dir_.c_str(), 0711), 0);
  ASSERT_EQ(::chmod(dir_.c_str(), 0711), 0);
  StartNode();
  Result<std::string> token = Fail(Code::kUnknown, "");
  std::atomic<bool> done = false;
  std::thread asker([&] {
    if (root) ::syscall(SYS_setresuid, -1, kUser, -1);  // of this thread only
    token = FetchToken(dir_ + "/n1/run/token.sock");
    done = true;
  });
  EXPECT_TRUE(Until([&] { return done.load(); }));
  asker.join();
  ASSERT_TRUE(token) << token.error().message;
  EXPECT_EQ(*token, Cat("token-of-", user));
}

}  // namespace
}  // namespace slipway
