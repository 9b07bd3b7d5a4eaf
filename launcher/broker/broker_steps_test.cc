// SPDX-License-Identifier: Apache-2.0
// A step from its start to its end, over the deaths of its broker.
#include <gtest/gtest.h>
#include <sched.h>

#include "launcher/broker/testdata/real_broker.h"

namespace slipway {
namespace {

TEST_F(RealBroker, TellsWhenAStepHasGoneAndWithWhichStatus) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  Line(step, "init escape ");
  Tell(step, "exit 7");
  StepGone gone = agent->AwaitGone(step).value();
  EXPECT_EQ(gone.stepd_wait_status, 7 << 8);
  ASSERT_EQ(Steps().size(), 1u);
  EXPECT_FALSE(Steps()[0].running);
  EXPECT_EQ(Ask(BrokerFrame::kForgetStep, step), Code::kOk);
  EXPECT_TRUE(Steps().empty());
  EXPECT_NE(::access(Folder(step).c_str(), F_OK), 0);
}

TEST_F(RealBroker, KillLeavesNoProcessOfTheStep) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  pid_t init = std::stoi(Line(step, "init pid ")), stepd = std::stoi(Line(step, "stepd pid "));
  Tell(step, "tell fork");
  Line(step, "init did fork");
  EXPECT_EQ(Ask(BrokerFrame::kForgetStep, step), Code::kFailedPrecondition);
  EXPECT_EQ(Ask(BrokerFrame::kKillStep, step), Code::kOk);
  EXPECT_FALSE(Lives(init) || Lives(stepd));
  EXPECT_EQ(agent->AwaitGone(step).value().reason, "KILLED");
  EXPECT_EQ(Ask(BrokerFrame::kKillStep, step), Code::kOk) << "killing what has gone";
  EXPECT_EQ(Ask(BrokerFrame::kKillStep, {77, 1, 0}), Code::kOk) << "killing what never was";
}

TEST_F(RealBroker, OnlyTheFirstStepOfAJobIsBornAsPid1OfItsOwn) {
  ASSERT_EQ(Start(Credential({1, 1, 0})).kind, BrokerFrame::kStarted);
  ASSERT_EQ(Start(Credential({1, 1, 1})).kind, BrokerFrame::kStarted);
  EXPECT_EQ(Line({1, 1, 0}, "init inside "), "1");
  EXPECT_NE(Line({1, 1, 1}, "init inside "), "1")
      << "its user namespace is the job's; RunInit makes one in it";
}

TEST_F(RealBroker, AFailedStartLeavesNothing) {
  ASSERT_EQ(::rename((dir + "/stepd").c_str(), (dir + "/away").c_str()), 0);
  Reply reply = Start(Credential({1, 1, 0}));
  EXPECT_NE(reply.code(), Code::kOk);
  EXPECT_NE(reply.message().find("/stepd"), std::string::npos) << reply.message();
  EXPECT_TRUE(Steps().empty());
  EXPECT_NE(::access(Folder({1, 1, 0}).c_str(), F_OK), 0);
  ASSERT_EQ(::rename((dir + "/away").c_str(), (dir + "/stepd").c_str()), 0);
  EXPECT_EQ(Start(Credential({1, 1, 0})).code(), Code::kPermissionDenied) << "its mark stays";
  EXPECT_EQ(Start(Credential({1, 1, 1})).kind, BrokerFrame::kStarted);
}

TEST_F(RealBroker, AStepSurvivesTheBrokerAndItsEndIsSeen) {
  StepId step{1, 1, 0}, next{1, 1, 1};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  std::string user = Line(step, "init user ");
  End(broker, SIGKILL);
  StartBroker();
  ASSERT_EQ(Steps().size(), 1u);
  EXPECT_TRUE(Steps()[0].running);
  // The next broker finds the job's namespaces and the mounted image again.
  ASSERT_EQ(Start(Credential(next)).kind, BrokerFrame::kStarted);
  EXPECT_EQ(Line(next, "init user "), user);
  EXPECT_EQ(Line(next, "init attack"), kLocked);
  EXPECT_EQ(LoopDevicesOf(dir), 1);
  Tell(step, "exit 3");
  EXPECT_EQ(agent->AwaitGone(step).value().step, step);
}

TEST_F(RealBroker, AScriptThatStartsBehindAnotherStepOfItsJobJoinsItsNamespacesAfterARestartToo) {
  StepId other{1, 1, 0}, script{1, 1, kBatchStep};
  ASSERT_EQ(Start(Credential(other)).kind, BrokerFrame::kStarted);
  std::string user = Line(other, "init user ");
  End(broker, SIGKILL);
  StartBroker();
  ASSERT_EQ(Start(Credential(script)).kind, BrokerFrame::kStarted);
  EXPECT_EQ(Line(script, "init user "), user);
}

TEST_F(RealBroker, AStepThatOffersPmixIsServedByTheStepdThatHasIt) {
  StepId plain{1, 1, 0}, mpi{1, 1, 1};
  ASSERT_EQ(Start(Credential(plain)).kind, BrokerFrame::kStarted);
  pmix = true;
  ASSERT_EQ(Start(Credential(mpi)).kind, BrokerFrame::kStarted);
  EXPECT_EQ(Line(plain, "stepd program "), dir + "/stepd");
  EXPECT_EQ(Line(mpi, "stepd program "), dir + "/stepd-pmix");
}

TEST_F(RealBroker, ABrokerKilledAtAnyMomentOfAStartLeavesAllOrNothing) {
  int whole = 0;
  for (std::uint32_t i = 0; i < 24; ++i) {
    StepId step{1, 1, i};
    UniqueFd memfd = MakeSealedMemfd("spec", "fake").value();
    ASSERT_TRUE(agent->Post(
        EncodeFrame(BrokerFrame::kStartStep, StartStep{7, SignCredential(Credential(step), *key)}),
        {memfd.get()}));
    ::usleep(i * 250);
    End(broker, SIGKILL);
    StartBroker();
    std::optional<bool> running;
    for (const StepRecord& record : Steps()) {
      if (record.step == step) running = record.running;
    }
    if (running == std::optional(true)) {
      ++whole;
      Line(step, "init escape ");
      Tell(step, "exit 0");
      ASSERT_TRUE(agent->AwaitGone(step));
    } else if (!running) {
      EXPECT_NE(::access(Folder(step).c_str(), F_OK), 0) << i;
    }
  }
  RecordProperty("whole", whole);
}

TEST_F(RealBroker, ABrokerKilledWhileAStepIsEndedFindsItRunningOrEnded) {
  for (std::uint32_t i = 0; i < 12; ++i) {
    StepId step{1, 1, i};
    ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
    pid_t init = std::stoi(Line(step, "init pid ")), stepd = std::stoi(Line(step, "stepd pid "));
    ASSERT_TRUE(agent->Post(EncodeFrame(BrokerFrame::kKillStep, StepRequest{4, step})));
    ::usleep(i * 150);
    End(broker, SIGKILL);
    StartBroker();
    ASSERT_EQ(Ask(BrokerFrame::kKillStep, step), Code::kOk);
    EXPECT_FALSE(Lives(init) || Lives(stepd)) << i;
    ASSERT_EQ(Ask(BrokerFrame::kForgetStep, step), Code::kOk);
  }
}

TEST_F(RealBroker, IsTheOnlyOneOnItsState) {
  Process second = ForkInto([this] { return BeBroker(); });
  EXPECT_EQ(second.Wait().value().exit_code(), 1);
  EXPECT_EQ(Start(Credential({1, 1, 0})).kind, BrokerFrame::kStarted) << "the first is not disturbed";
}

TEST_F(RealBroker, DoesNotStartOverARecordThatItCannotRead) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  pid_t init = std::stoi(Line(step, "init pid "));
  End(broker, SIGKILL);
  std::string record = ReadFile(Folder(step) + "/record").value();
  ASSERT_TRUE(WriteFileAtomically(Folder(step) + "/record", "garbage", 0600));
  Process second = ForkInto([this] { return BeBroker(); });
  EXPECT_EQ(second.Wait().value().exit_code(), 1);
  EXPECT_TRUE(Lives(init)) << "the step goes on";
  ASSERT_TRUE(WriteFileAtomically(Folder(step) + "/record", record, 0600));
  StartBroker();
  EXPECT_TRUE(Steps().at(0).running);
}

TEST_F(RealBroker, ARecordThatAPowerLossHasEmptiedCountsAsNone) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  pid_t init = std::stoi(Line(step, "init pid ")), stepd = std::stoi(Line(step, "stepd pid "));
  End(broker, SIGKILL);
  for (pid_t pid : {init, stepd}) ::kill(pid, SIGKILL);  // as the power loss did
  ASSERT_TRUE(WriteFileForThisBoot(Folder(step) + "/record", "", 0600));
  StartBroker();
  EXPECT_TRUE(Steps().empty());
  EXPECT_NE(::access(Folder(step).c_str(), F_OK), 0);
}

TEST_F(RealBroker, TheTimeLimitHoldsThroughARestart) {
  StepId step{1, 1, 0};
  LaunchCredential credential = Credential(step);
  credential.limits.time_limit_s = 3600;
  ASSERT_EQ(Start(credential).kind, BrokerFrame::kStarted);
  End(broker, SIGKILL);
  RunRecord record = ReadRecord(Folder(step), 0).value();
  EXPECT_GT(record.deadline_boot_ms, BootMilliseconds() + 3'600'000);
  record.deadline_boot_ms = BootMilliseconds() + 300;
  ASSERT_TRUE(WriteRecord(Folder(step), record));
  StartBroker();
  EXPECT_EQ(agent->AwaitGone(step).value().reason, "TIMEOUT");
}

TEST_F(RealBroker, AStepThatIsEndedWithTheHolderIsReportedSo) {
  StepId step{1, 1, 0};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  pid_t stepd = std::stoi(Line(step, "stepd pid "));
  End(holder, SIGKILL);
  ASSERT_EQ(::kill(stepd, SIGKILL), 0);
  EXPECT_EQ(agent->AwaitGone(step).value().reason, "slipway-steps.service has ended");
  StartHolder();
}

TEST_F(RealBroker, TheHolderGivesBackWhatItWasGiven) {
  HolderClient client = HolderClient::Connect(conf.holder_socket).value();
  UniqueFd file = MakeSealedMemfd("x", "kept").value();
  ASSERT_TRUE(client.Put("k", {file.get()}));
  HolderClient other = HolderClient::Connect(conf.holder_socket).value();
  EXPECT_EQ(ReadSealedMemfd(other.Get("k").value().at(0).get(), 100).value(), "kept");
  ASSERT_TRUE(other.Drop("k"));
  EXPECT_EQ(client.Get("k").error().code, Code::kNotFound);
  EXPECT_FALSE(client.Drop("mounts")) << "the image mounts are the holder's own";
  EXPECT_FALSE(client.Put(std::string(65, 'x'), {file.get()}));
}

// A host without cgroup v2: said in the welcome, and survivable.
struct BrokerWithoutCgroups : RealBroker {
  Result<> BeHolder() override {
    if (::unshare(CLONE_NEWNS) < 0 || ::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) < 0)
      return ErrnoFail("unshare");
    std::ifstream mounts("/proc/self/mounts");
    for (std::string source, point, type, rest;
         mounts >> source >> point >> type && std::getline(mounts, rest);) {
      if (type == "cgroup2" && ::umount2(point.c_str(), MNT_DETACH) < 0) return ErrnoFail("umount", point);
    }
    return RunHolder(conf);
  }
};

TEST_F(BrokerWithoutCgroups, SaysWhatItCannotHoldAndStillEndsAStep) {
  auto welcome = Decode<BrokerWelcome>(
      agent->Ask(EncodeFrame(BrokerFrame::kHello, BrokerHello{})).value().payload, "welcome");
  ASSERT_EQ(welcome.value().cannot.size(), 8u);
  EXPECT_NE(welcome->cannot[0].find("no cgroup v2 hierarchy"), std::string::npos) << welcome->cannot[0];
  StepId step{1, 1, 0}, other{1, 1, 1};
  ASSERT_EQ(Start(Credential(step)).kind, BrokerFrame::kStarted);
  ASSERT_EQ(Start(Credential(other)).kind, BrokerFrame::kStarted);
  pid_t init = std::stoi(Line(step, "init pid ")), stepd = std::stoi(Line(step, "stepd pid "));
  EXPECT_EQ(Ask(BrokerFrame::kKillStep, step), Code::kOk);
  EXPECT_FALSE(Lives(init) || Lives(stepd));
  End(broker, SIGKILL);
  StartBroker();
  Tell(other, "exit 0");
  EXPECT_TRUE(agent->AwaitGone(other));
}

}  // namespace
}  // namespace slipway
