// SPDX-License-Identifier: Apache-2.0
// What the stepds of several nodes say to each other goes by their agents.
#include "agent/node/agent_fixture_test.h"
#include "agent/node/peers.h"

namespace slipway {
namespace {

TEST_F(AgentTest, TheExchangeOfAStepCrossesFromNodeToNodeInOrder) {
  auto other = std::make_unique<FakeController>(dir_ + "/cluster");
  n2_ = std::make_unique<VirtualNode>(*loop_, dir_, "n2");
  n1_->broker.images.insert(digest_);
  n2_->broker.images.insert(digest_);
  StartNode();
  n2_->StartAgent(other->target());
  ASSERT_TRUE(Until([&] { return other->Connected(); }));
  v1::ToNode message = LaunchMessage();
  v1::LaunchStep& launch = *message.mutable_launch();
  launch.add_nodes("n2");
  launch.add_ranks()->add_ranks(1);
  launch.set_node_addresses(0, Cat("127.0.0.1:", n1_->port));
  launch.add_node_addresses(Cat("127.0.0.1:", n2_->port));
  controller_->Send(message);
  ASSERT_TRUE(Reported(v1::StepReport::STARTED));
  EXPECT_EQ(n1_->broker.specs.at(0).mpi, MpiKind::kAuto);  // two tasks

  // Sent before the other node's part is there: held until it is.
  for (int i = 0; i < 50; ++i)
    n1_->stepd(kStep)->Send(StepFrame::kExchangeOut, StepExchange{1, std::to_string(i)});
  n1_->stepd(kStep)->Send(StepFrame::kExchangeOut, StepExchange{0, "to myself"});
  ASSERT_TRUE(Until([&] { return n1_->stepd(kStep)->Count(StepFrame::kExchangeIn) == 1; }));
  launch.set_node_index(1);
  other->Send(message);
  ASSERT_TRUE(Until([&] {
    return n2_->stepd(kStep) != nullptr && n2_->stepd(kStep)->Count(StepFrame::kExchangeIn) == 50;
  }));
  EXPECT_EQ(n2_->stepd(kStep)->Last(StepFrame::kExchangeIn), Encode(StepExchange{0, "49"}));

  // n2 cannot speak for n1.
  {
    TlsFiles files{dir_ + "/cluster/ca.pem", dir_ + "/cluster/nodes/n2.crt", dir_ + "/cluster/nodes/n2.key"};
    PeerLinks liar(*loop_, files, {}, [](const std::string&, const std::string&) {});
    std::size_t before = n1_->stepd(kStep)->Count(StepFrame::kExchangeIn);
    liar.Send("n1", Cat("127.0.0.1:", n1_->port), kStep, 0, {.from_node = 0, .bytes = "a lie"});
    liar.Send("n1", Cat("127.0.0.1:", n1_->port), kStep, 0, {.from_node = 1, .bytes = "the truth"});
    ASSERT_TRUE(Until([&] { return n1_->stepd(kStep)->Count(StepFrame::kExchangeIn) > before; }));
    EXPECT_EQ(n1_->stepd(kStep)->Count(StepFrame::kExchangeIn), before + 1);
    EXPECT_EQ(n1_->stepd(kStep)->Last(StepFrame::kExchangeIn), Encode(StepExchange{1, "the truth"}));
  }
  // The agent of n2 is killed and comes back: the exchange goes on.
  n2_->agent.reset();
  ASSERT_TRUE(Until([&] { return !other->Connected(); }));
  n2_->StartAgent(other->target());
  ASSERT_TRUE(Until([&] { return n2_->stepd(kStep)->Count(StepFrame::kAttach) == 2; }));
  ASSERT_TRUE(Until([&] {
    n1_->stepd(kStep)->Send(StepFrame::kExchangeOut,
                            StepExchange{1, "again"});  // as the exchange does what is not acknowledged
    return n2_->stepd(kStep)->Last(StepFrame::kExchangeIn) == Encode(StepExchange{0, "again"});
  }));
  // And an end is told to the other side.
  n1_->stepd(kStep)->End({.step = kStep, .exit_code = 1, .reason = "rank 0 exited with 1"});
  ASSERT_TRUE(Until([&] { return n2_->stepd(kStep)->Count(StepFrame::kPeerGone) == 1; }));
  n2_.reset();
}

TEST_F(AgentTest, StepsOfOneJobReachItsBatchStepAndNobodyElseDoes) {
  auto other = std::make_unique<FakeController>(dir_ + "/cluster");
  n2_ = std::make_unique<VirtualNode>(*loop_, dir_, "n2");
  n1_->broker.images.insert(digest_);
  n2_->broker.images.insert(digest_);
  StartNode();
  n2_->StartAgent(other->target());
  ASSERT_TRUE(Until([&] { return other->Connected(); }));
  const StepId batch{kStep.job, kStep.attempt, kBatchStep};
  v1::ToNode first = LaunchMessage(), second = LaunchMessage();
  first.mutable_launch()->mutable_step()->set_step(kBatchStep);
  second.mutable_launch()->set_nodes(0, "n2");
  for (v1::ToNode* message : {&first, &second}) {
    message->mutable_launch()->add_job_nodes("n1");
    message->mutable_launch()->add_job_node_addresses(Cat("127.0.0.1:", n1_->port));
  }
  first.mutable_launch()->add_job_nodes("n2");
  first.mutable_launch()->add_job_node_addresses(Cat("127.0.0.1:", n2_->port));
  controller_->Send(first);
  other->Send(second);
  ASSERT_TRUE(Until([&] {
    return n1_->stepd(batch) != nullptr && n1_->stepd(batch)->Count(StepFrame::kAttach) == 1 &&
           n2_->stepd(kStep) != nullptr && n2_->stepd(kStep)->Count(StepFrame::kAttach) == 1;
  }));
  EXPECT_TRUE(n2_->broker.specs.at(0).rendezvous);
  auto heard = [](FakeStepd* stepd, const StepRendezvous& word) {
    return stepd->Last(StepFrame::kRendezvousIn) == Encode(word);
  };
  // Said again, as the exchange does: what comes before a stepd is attached is lost.
  ASSERT_TRUE(Until([&] {
    n2_->stepd(kStep)->Send(StepFrame::kRendezvousOut, StepRendezvous{.bytes = "who is there"});
    return heard(n1_->stepd(batch), {kStep.step, "n2", "who is there", {}});
  }));
  ASSERT_TRUE(Until([&] {
    n1_->stepd(batch)->Send(StepFrame::kRendezvousOut, StepRendezvous{kStep.step, "n2", "we are", {}});
    return heard(n2_->stepd(kStep), {kBatchStep, "n1", "we are", {}});
  }));
  // A node of the cluster that has no part in it, or speaks as if it had the batch step.
  TlsFiles files{dir_ + "/cluster/ca.pem", dir_ + "/cluster/nodes/n2.crt", dir_ + "/cluster/nodes/n2.key"};
  PeerLinks liar(*loop_, files, {}, [](const std::string&, const std::string&) {});
  auto says = [&](const StepId& to, std::uint32_t from_step, const std::string& what) {
    bool batch_step = to.step == kBatchStep;
    liar.Send(batch_step ? "n1" : "n2", Cat("127.0.0.1:", batch_step ? n1_->port : n2_->port), to, 0,
              {.bytes = what, .from_step = from_step});
  };
  says(kStep, kBatchStep, "a lie");
  says(batch, kBatchStep, "another lie");
  says(batch, kStep.step, "the truth");
  ASSERT_TRUE(Until([&] { return heard(n1_->stepd(batch), {kStep.step, "n2", "the truth", {}}); }));
  EXPECT_TRUE(heard(n2_->stepd(kStep), {kBatchStep, "n1", "we are", {}}));
  // And that it has ended.
  n2_->stepd(kStep)->End({.step = kStep, .exit_code = 1, .reason = "rank 0 exited with 1"});
  ASSERT_TRUE(Until([&] {
    return heard(n1_->stepd(batch), {kStep.step, "n2", {}, "the step has ended there"});
  }));
  n2_.reset();
}

}  // namespace
}  // namespace slipway
