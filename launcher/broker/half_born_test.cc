// SPDX-License-Identifier: Apache-2.0
// What is behind the gate belongs to a user before it is ready, and he may do to it what he likes.
#include "launcher/broker/half_born.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

namespace slipway {
namespace {

using std::chrono::milliseconds;

HalfBorn Born(const std::function<void(const Gate&)>& body, milliseconds patience = milliseconds(600'000)) {
  return *HalfBorn::Make({.surroundings = Surroundings::kCallers, .patience = patience}, body);
}

TEST(HalfBorn, IsHeardAndGoesOnWhenItIsTold) {
  HalfBorn born = Born([](const Gate& gate) {
    gate.Say(HalfBorn::kReady);
    gate.Await('g');
    ::_exit(0);
  });
  EXPECT_TRUE(born.HearReady());
  EXPECT_TRUE(born.Tell('g'));
  EXPECT_TRUE(born.HearItClose());
}

TEST(HalfBorn, WhoIsStoppedBeforeItIsReadyIsGivenUpAtOnceAndEnded) {
  pid_t pid;
  {
    HalfBorn born = Born([](const Gate& gate) {
      ::raise(SIGSTOP);
      gate.Say(HalfBorn::kReady);
    });
    pid = born.pid();
    auto heard = born.HearReady();
    ASSERT_FALSE(heard);
    EXPECT_EQ(heard.error().message, "a new process was stopped by a signal before it was ready");
  }
  EXPECT_EQ(::kill(pid, 0), -1) << "it is still there";
}

TEST(HalfBorn, WhoIsStoppedOnItsWayToTheExecIsGivenUpToo) {
  HalfBorn born = Born([](const Gate& gate) {
    gate.Say(HalfBorn::kReady);
    gate.Await('g');
    ::raise(SIGSTOP);
  });
  ASSERT_TRUE(born.HearReady());
  ASSERT_TRUE(born.Tell('g'));
  EXPECT_EQ(born.HearItClose().error().code, Code::kDeadlineExceeded);
}

TEST(HalfBorn, WhoTakesForEverIsGivenUpWhenPatienceEnds) {
  HalfBorn born = Born([](const Gate&) { ::pause(); }, milliseconds(100));
  EXPECT_EQ(born.HearReady().error().message, "a new process was not ready within 100 ms");
}

TEST(HalfBorn, WhoEndsBeforeItIsReadyIsNoLongerWaitedFor) {
  HalfBorn born = Born([](const Gate&) { ::_exit(3); });
  EXPECT_EQ(born.HearReady().error().message, "a step's process ended while it was being made");
}

}  // namespace
}  // namespace slipway
