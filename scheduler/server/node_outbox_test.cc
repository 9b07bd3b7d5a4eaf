// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/node_outbox.h"

#include <gmock/gmock.h>

#include "base/loop/sim_loop.h"

namespace slipway::scheduler {
namespace {

using testing::ElementsAre;
using Batches = std::vector<std::vector<std::uint64_t>>;

class NodeOutboxTest : public testing::Test {
 protected:
  static v1::ToNode Message(std::uint64_t job, std::size_t bytes = 0) {
    v1::ToNode message;
    message.set_epoch(1);
    message.mutable_end_job()->set_job(job);
    if (bytes != 0) message.mutable_launch()->set_credential_body(std::string(bytes, 'x'));
    return message;
  }
  static std::uint64_t JobOf(const v1::ToNode& message) { return message.end_job().job(); }

  SimLoop loop_;
  Batches sent_;
  std::vector<std::size_t> sizes_;
  bool finished_ = false;
  NodeOutbox outbox_{loop_,
                     [this](const v1::ToNode* message) {
                       sent_.push_back({JobOf(*message)});
                       for (const v1::ToNode& more : message->more()) sent_.back().push_back(JobOf(more));
                       sizes_.push_back(message->ByteSizeLong());
                       loop_.Post([this] { outbox_.Written(true); });
                     },
                     [this](const Result<>&) { finished_ = true; }};
};

TEST_F(NodeOutboxTest, WhatOneTurnSaysIsOneMessageInItsOrder) {
  outbox_.Join();
  for (std::uint64_t job : {1, 2, 3}) outbox_.Send(Message(job));
  EXPECT_TRUE(sent_.empty()) << "the turn is not over";
  EXPECT_EQ(outbox_.size(), 3u);
  while (sent_.empty()) loop_.Step();
  EXPECT_EQ(outbox_.size(), 3u) << "as many as were said wait for being written";
  loop_.Run();
  EXPECT_EQ(outbox_.size(), 0u);
  outbox_.Send(Message(4));
  loop_.Run();
  EXPECT_EQ(sent_, (Batches{{1, 2, 3}, {4}}));
}

TEST_F(NodeOutboxTest, ToAnAgentThatDoesNotReadSeveralEachGoesByItself) {
  outbox_.Send(Message(1));
  outbox_.SendSoon(Message(2));
  outbox_.Send(Message(3));
  loop_.Run();
  EXPECT_EQ(sent_, (Batches{{1}, {2}, {3}}));
}

TEST_F(NodeOutboxTest, WhatCanWaitGoesWithTheNextOrAfterAMoment) {
  outbox_.Join();
  outbox_.SendSoon(Message(1));
  outbox_.Send(Message(2));
  loop_.Run();
  EXPECT_EQ(sent_, (Batches{{1, 2}}));
  auto before = loop_.Now();
  outbox_.SendSoon(Message(3));
  outbox_.SendSoon(Message(4));
  loop_.Run();
  EXPECT_EQ(sent_, (Batches{{1, 2}, {3, 4}}));
  EXPECT_EQ(loop_.Now() - before, NodeOutbox::kSoon);
}

TEST_F(NodeOutboxTest, NoMessageGrowsBeyondItsBoundByWhatIsJoinedToIt) {
  outbox_.Join();
  for (std::uint64_t job : {1, 2, 3}) outbox_.Send(Message(job, NodeOutbox::kJoinedBytesMax / 2));
  outbox_.Send(Message(4, 2 * NodeOutbox::kJoinedBytesMax));
  outbox_.Send(Message(5));
  loop_.Run();
  std::size_t messages = 0;
  for (const auto& batch : sent_) messages += batch.size();
  EXPECT_EQ(messages, 5u);
  ASSERT_EQ(sizes_.size(), 5u);
  for (std::size_t i : {0, 1, 2}) EXPECT_LE(sizes_[i], NodeOutbox::kJoinedBytesMax);
}

TEST_F(NodeOutboxTest, TheEndComesBehindWhatWasSaidAndAnAbortDropsIt) {
  outbox_.Join();
  outbox_.Send(Message(1));
  outbox_.Finish({});
  loop_.Run();
  EXPECT_EQ(sent_, (Batches{{1}}));
  EXPECT_TRUE(finished_);
  outbox_.Send(Message(2));
  loop_.Run();
  EXPECT_EQ(sent_.size(), 1u) << "it is closed";

  NodeOutbox other(
      loop_, [this](const v1::ToNode*) { ADD_FAILURE(); }, [](const Result<>&) {});
  other.Join();
  other.Send(Message(3));
  other.SendSoon(Message(4));
  other.Abort(Error{Code::kCancelled, 0, "gone"});
  loop_.Run();
}

TEST_F(NodeOutboxTest, OneThatIsGoneBeforeTheTurnEndsSaysNothing) {
  {
    NodeOutbox gone(
        loop_, [this](const v1::ToNode*) { ADD_FAILURE(); }, [](const Result<>&) {});
    gone.Join();
    gone.Send(Message(1));
    gone.SendSoon(Message(2));
  }
  loop_.Run();
}

}  // namespace
}  // namespace slipway::scheduler
