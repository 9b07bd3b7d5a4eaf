// SPDX-License-Identifier: Apache-2.0
#include "agent/steps/step_machine.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

using State = StepMachine::State;
using Found = StepMachine::Found;
constexpr StepId kStep{42, 1, 0};

std::vector<StepEffect::Kind> Kinds(const StepMachine::Effects& effects) {
  std::vector<StepEffect::Kind> kinds;
  for (const StepEffect& effect : effects) kinds.push_back(effect.kind);
  return kinds;
}
using K = std::vector<StepEffect::Kind>;

StepMachine Running() {
  StepMachine machine(kStep);
  machine.Launch(true);
  machine.OnStarted({});
  machine.OnState({.step = kStep, .phase = StepPhase::kRunning});
  return machine;
}

TEST(StepMachine, GoesFromLaunchToForgotten) {
  StepMachine machine(kStep);
  EXPECT_EQ(Kinds(machine.Launch(false)), (K{StepEffect::kReport, StepEffect::kFetchImage}));
  EXPECT_EQ(machine.news().kind, StepNews::kStaging);
  EXPECT_EQ(Kinds(machine.OnImage({})), K{StepEffect::kAskBroker});
  EXPECT_EQ(Kinds(machine.OnStarted({})), K{StepEffect::kConnect});
  EXPECT_EQ(Kinds(machine.OnState({.step = kStep})), K{StepEffect::kReport});
  EXPECT_EQ(machine.news().kind, StepNews::kStarted);
  EXPECT_EQ(Kinds(machine.OnResult({.step = kStep, .exit_code = 3, .reason = "rank 0 exited with 3"})),
            (K{StepEffect::kDisarm, StepEffect::kReport}));
  EXPECT_EQ(machine.news().exit_code, 3);
  EXPECT_TRUE(machine.OnAck(2).empty());  // of an earlier report
  EXPECT_EQ(Kinds(machine.OnAck(3)), (K{StepEffect::kAcknowledge, StepEffect::kArm}));
  EXPECT_EQ(Kinds(machine.OnGone({})), (K{StepEffect::kDisarm, StepEffect::kCloseLink, StepEffect::kForget}));
  EXPECT_EQ(Kinds(machine.OnForgotten({})), K{StepEffect::kDone});
}

TEST(StepMachine, AnImageThatCannotBeHadIsARefusalWithItsReason) {
  StepMachine machine(kStep);
  machine.Launch(false);
  machine.OnImage(Fail(Code::kResourceExhausted, "no space left"));
  EXPECT_EQ(machine.news().kind, StepNews::kRefused);
  EXPECT_EQ(machine.news().exit_code, 125);
  EXPECT_EQ(machine.news().reason, "no space left");
  EXPECT_EQ(Kinds(machine.OnAck(3)), K{StepEffect::kDone});  // the broker never heard of it
}

TEST(StepMachine, ALostBrokerIsAskedAgainOnlyWhenItDoesNotKnowTheStep) {
  StepMachine machine(kStep);
  machine.Launch(true);
  EXPECT_TRUE(machine.OnStarted(Fail(Code::kUnavailable, "lost")).empty());
  StepMachine other = machine, third = machine;
  EXPECT_EQ(Kinds(machine.Reconcile(Found::kAbsent)), K{StepEffect::kAskBroker});
  EXPECT_EQ(Kinds(other.Reconcile(Found::kRunning)), K{StepEffect::kConnect});
  EXPECT_EQ(Kinds(third.Reconcile(Found::kEnded)), (K{StepEffect::kCloseLink, StepEffect::kReadStatus}));
}

TEST(StepMachine, AStepFoundAgainGoesOnWhereItIs) {
  StepMachine running(kStep), ended(kStep);
  EXPECT_EQ(Kinds(running.Reconcile(Found::kRunning)), K{StepEffect::kConnect});
  EXPECT_EQ(Kinds(ended.Reconcile(Found::kEnded)), (K{StepEffect::kCloseLink, StepEffect::kReadStatus}));
  ended.OnStatus(StepResult{.step = kStep, .exit_code = 7});
  EXPECT_EQ(ended.news().exit_code, 7);
  EXPECT_EQ(Kinds(ended.OnAck(3)), (K{StepEffect::kCloseLink, StepEffect::kForget}));
}

TEST(StepMachine, AStepdThatDiesWithoutAWordIsReportedAsLostWithTheBrokersReason) {
  StepMachine machine = Running();
  EXPECT_EQ(Kinds(machine.OnStepdLost("it closed the connection")),
            (K{StepEffect::kCloseLink, StepEffect::kConnect}));
  EXPECT_EQ(Kinds(machine.OnGone("time limit")), (K{StepEffect::kCloseLink, StepEffect::kReadStatus}));
  machine.OnStatus({});
  EXPECT_EQ(machine.news().kind, StepNews::kEnded);
  EXPECT_EQ(machine.news().exit_code, 137);
  EXPECT_EQ(machine.news().reason, "stepd was lost: time limit");
}

TEST(StepMachine, AStepdThatHangsUpForEverIsNotCalledForEver) {
  StepMachine machine = Running();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(machine.OnStepdLost("x").size(), 2U) << i;
  EXPECT_EQ(Kinds(machine.OnStepdLost("x")), K{StepEffect::kCloseLink});
  EXPECT_EQ(machine.state(), State::kDetached);
  EXPECT_EQ(Kinds(machine.OnGone({})), (K{StepEffect::kCloseLink, StepEffect::kReadStatus}));
}

TEST(StepMachine, AKillThatStepdDoesNotHeedIsTheBrokers) {
  StepMachine machine = Running();
  auto effects = machine.OnKill("CANCELLED", 5);
  EXPECT_EQ(Kinds(effects), (K{StepEffect::kArm, StepEffect::kTerminate}));
  EXPECT_EQ(effects[0].delay_s, 15U);
  EXPECT_TRUE(machine.OnKill("CANCELLED", 5).empty());
  EXPECT_EQ(Kinds(machine.OnTimer()), (K{StepEffect::kKillByBroker, StepEffect::kArm}));
  machine.OnGone({});
  machine.OnStatus({});
  EXPECT_EQ(machine.news().reason, "CANCELLED");
}

TEST(StepMachine, AKillBeforeTheStartIsAnEndAndStartsNothing) {
  StepMachine machine(kStep);
  machine.Launch(false);
  machine.OnKill("CANCELLED", 5);
  EXPECT_EQ(machine.news().kind, StepNews::kEnded);
  EXPECT_EQ(machine.news().exit_code, 143);
  EXPECT_TRUE(machine.OnImage({}).empty());
}

TEST(StepMachine, AKillDuringTheStartTerminatesOnceAttached) {
  StepMachine machine(kStep);
  machine.Launch(true);
  EXPECT_EQ(Kinds(machine.OnKill("CANCELLED", 5)), K{StepEffect::kArm});
  machine.OnStarted({});
  EXPECT_EQ(Kinds(machine.OnState({.step = kStep})), (K{StepEffect::kReport, StepEffect::kTerminate}));
}

TEST(StepMachine, GoneBeforeTheAnswerToStartStepWaitsForIt) {
  StepMachine machine(kStep);
  machine.Launch(true);
  EXPECT_TRUE(machine.OnGone({}).empty());
  StepMachine refused = machine;
  EXPECT_EQ(Kinds(machine.OnStarted({})), (K{StepEffect::kCloseLink, StepEffect::kReadStatus}));
  refused.OnStarted(Fail(Code::kInternal, "clone3: no memory"));
  EXPECT_EQ(refused.news().kind, StepNews::kRefused);
}

TEST(StepMachine, AnImageThatTheStoreHasLostIsFetchedOnceMore) {
  StepMachine machine(kStep);
  machine.Launch(true);
  EXPECT_EQ(Kinds(machine.OnStarted(Fail(Code::kNotFound, "no such image"))), K{StepEffect::kFetchImage});
  EXPECT_EQ(Kinds(machine.OnImage({})), K{StepEffect::kAskBroker});
  machine.OnStarted(Fail(Code::kNotFound, "no such image"));
  EXPECT_EQ(machine.news().kind, StepNews::kRefused);
}

TEST(StepMachine, TheEndOfTheJobEndsWhatIsLeftAtOnce) {
  StepMachine machine = Running();
  EXPECT_TRUE(machine.holds_node());
  EXPECT_EQ(Kinds(machine.OnEndJob()), (K{StepEffect::kKillByBroker, StepEffect::kArm}));
  EXPECT_TRUE(machine.OnEndJob().empty());
  machine.OnGone({});
  EXPECT_FALSE(machine.holds_node());
  machine.OnStatus({});
  EXPECT_EQ(machine.news().end, StepNews::kKilled);
}

TEST(StepMachine, SaysWhyAStepEnded) {
  StepMachine exited = Running(), timed_out = Running(), killed = Running();
  exited.OnResult({.step = kStep, .exit_code = 3});
  EXPECT_EQ(exited.news().end, StepNews::kExited);
  timed_out.OnResult({.step = kStep, .exit_code = 143, .reason = "TIMEOUT: 60 s are over"});
  EXPECT_EQ(timed_out.news().end, StepNews::kTimeLimit);
  StepMachine starved = Running();
  starved.OnResult({.step = kStep, .exit_code = 137, .reason = "rank 0 on n1: OUT_OF_MEMORY: all used up"});
  EXPECT_EQ(starved.news().end, StepNews::kOutOfMemory);
  killed.OnKill("CANCELLED", 5);
  killed.OnResult({.step = kStep, .exit_code = 143, .reason = "CANCELLED"});
  EXPECT_EQ(killed.news().end, StepNews::kKilled);
}

TEST(StepMachine, AnEndIsReportedWithOneSequenceHoweverOftenTheAgentIsNew) {
  StepMachine machine = Running();
  machine.OnResult({.step = kStep, .exit_code = 0});
  StepMachine next(kStep);
  next.Reconcile(Found::kRunning);
  next.OnState({.step = kStep, .phase = StepPhase::kEnded});
  next.OnResult({.step = kStep, .exit_code = 0});
  EXPECT_EQ(machine.news().sequence(), next.news().sequence());
}

}  // namespace
}  // namespace slipway
