// SPDX-License-Identifier: Apache-2.0
// Steps whose processes SIGKILL alone does not end.
#include "launcher/broker/testdata/real_broker.h"

namespace slipway {
namespace {

TEST_F(RealBroker, AFuseServerThatWaitsForItselfDoesNotHoldAKilledStep) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  Tell(step, "tell deaf");
  pid_t deaf = std::stoi(Line(step, "init deaf "));
  ASSERT_TRUE(Lives(deaf));
  EXPECT_EQ(Ask(BrokerFrame::kKillStep, step), Code::kOk);
  EXPECT_FALSE(Lives(deaf));
  EXPECT_EQ(Ask(BrokerFrame::kForgetStep, step), Code::kOk);
}

// A file system of the host's that does not answer: not ours to abort.
struct BrokerBesideADeafFileSystem : RealBroker {
  Process server;
  UniqueFd asked;
  void MakeImage() override {
    RealBroker::MakeImage();
    ASSERT_TRUE(MakeDirectories(dir + "/deaf"));
    PipeEnds pipe = MakePipe().value();
    server = Clone3({}).value();
    if (!server) {
      AnswerNobody(dir + "/deaf", Asker::kOthers, [&] {
        char word = 'x';
        [[maybe_unused]] auto n = ::write(pipe.write.get(), &word, 1);
      });
    }
    asked = std::move(pipe.read);
    // Not by a look at the folder: that would be the question.
    ASSERT_TRUE(Eventually(
        [&] { return ReadFile("/proc/self/mountinfo").value().find(dir + "/deaf ") != std::string::npos; }));
  }
  void TearDown() override {
    if (dir.empty()) return;
    End(server, SIGKILL);
    ::umount2((dir + "/deaf").c_str(), MNT_DETACH);
    RealBroker::TearDown();
  }
};

TEST_F(BrokerBesideADeafFileSystem, TellsWhichProcessOfAKilledStepDoesNotEnd) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  Tell(step, Cat("tell access ", dir, "/deaf/name"));
  std::string asks = Line(step, "init asks ");
  char word;
  ASSERT_EQ(::read(asked.get(), &word, 1), 1);
  ASSERT_TRUE(agent->Post(EncodeFrame(BrokerFrame::kKillStep, StepRequest{4, step})));
  Reply reply = agent->Next().value();
  ASSERT_EQ(reply.kind, BrokerFrame::kStepStuck);
  StepGone stuck = Decode<StepGone>(reply.payload, "stuck").value();
  EXPECT_EQ(stuck.step, step);
  EXPECT_NE(stuck.reason.find(Cat("process ", asks, " (")), std::string::npos) << stuck.reason;
  EXPECT_NE(stuck.reason.find("state D"), std::string::npos) << stuck.reason;
  EXPECT_TRUE(Steps().at(0).running);
  // Once the file system lets it go, the step ends as it was asked to.
  End(server, SIGKILL);
  EXPECT_TRUE(agent->AwaitGone(step));
}

}  // namespace
}  // namespace slipway
