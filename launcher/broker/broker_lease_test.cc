// SPDX-License-Identifier: Apache-2.0
// A step with a lease ends at its deadline whoever is there to ask for it.
#include <csignal>

#include "launcher/broker/testdata/real_broker.h"

namespace slipway {
namespace {

struct BrokerLeases : RealBroker {
  Reply StartLeased(const StepId& step, std::uint64_t boot_ms) {
    UniqueFd memfd = MakeSealedMemfd("spec", "fake").value();
    StartStep request{7, SignCredential(Credential(step), *key), {}, {}, boot_ms};
    return agent->Ask(EncodeFrame(BrokerFrame::kStartStep, request), {memfd.get()}).value();
  }
  Code Renew(const StepId& step, std::uint64_t boot_ms) {
    return agent->Ask(EncodeFrame(BrokerFrame::kRenewLease, StepLease{8, step, boot_ms})).value().code();
  }
  static std::uint64_t In(std::uint64_t ms) { return BootMilliseconds() + ms; }
};

TEST_F(BrokerLeases, AStepEndsAtItsDeadlineWithStepdStoppedAndNoAgent) {
  StepId step{1, 1, 0};
  ASSERT_EQ(StartLeased(step, In(3000)).kind, BrokerFrame::kStarted);
  pid_t init = std::stoi(Line(step, "init pid ")), stepd = std::stoi(Line(step, "stepd pid "));
  ASSERT_EQ(::kill(stepd, SIGSTOP), 0);
  agent.reset();
  EXPECT_TRUE(Eventually([&] { return !Lives(init) && !Lives(stepd); }));
  agent = Client::Connect(conf.socket(), kAgent).value();
  ASSERT_TRUE(agent->Ask(EncodeFrame(BrokerFrame::kHello, BrokerHello{})));
  ASSERT_EQ(Steps().size(), 1U);
  EXPECT_FALSE(Steps()[0].running);
}

TEST_F(BrokerLeases, OneThatIsRenewedRunsOnAndTheAgentHearsWhyTheOtherEnded) {
  StepId renewed{1, 1, 0}, over{1, 1, 1};
  ASSERT_EQ(StartLeased(renewed, In(1500)).kind, BrokerFrame::kStarted);
  ASSERT_EQ(StartLeased(over, In(1500)).kind, BrokerFrame::kStarted);
  ASSERT_EQ(Renew(renewed, In(600'000)), Code::kOk);
  auto gone = agent->AwaitGone(over);
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->reason, kLeaseOver);
  ASSERT_EQ(Steps().size(), 2U);
  EXPECT_TRUE(Steps()[0].running);
  EXPECT_EQ(Renew(over, In(600'000)), Code::kOk) << "there is nothing to renew, and nobody to blame";
  EXPECT_EQ(Renew({9, 9, 9}, In(1)), Code::kOk);
  ASSERT_EQ(Renew(renewed, BootMilliseconds() - 1), Code::kOk);
  EXPECT_EQ(agent->AwaitGone(renewed)->reason, kLeaseOver) << "it may be shortened";
}

}  // namespace
}  // namespace slipway
