// SPDX-License-Identifier: Apache-2.0
// The other end of a socket pair plays the broker, step by step, on the same thread.
#include "launcher/client/broker_client.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/loop/epoll_loop.h"

namespace slipway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class BrokerClientTest : public testing::Test {
 protected:
  void SetUp() override {
    loop_ = std::move(*EpollLoop::Make());
    SocketEnds ends = std::move(*MakeSocketPair(SOCK_SEQPACKET));
    broker_ = std::move(ends.b);
    client_ = std::move(*BrokerClient::Adopt(*loop_, std::move(ends.a)));
    auto [kind, bytes, fds] = Receive();
    EXPECT_EQ(kind, BrokerFrame::kHello);
  }
  struct Received {
    BrokerFrame kind;
    std::string payload;
    std::vector<UniqueFd> fds;
  };
  Received Receive() {
    Message message = std::move(*ReceiveMessage(broker_.get()));
    auto frame = *SplitFrame<BrokerFrame>(message.bytes);
    return {frame.kind, std::string(frame.payload), std::move(message.fds)};
  }
  template <class T>
  void Send(BrokerFrame kind, const T& payload, std::vector<int> fds = {}) {
    ASSERT_TRUE(SendMessage(broker_.get(), EncodeFrame(kind, payload), fds));
  }
  void RunUntil(const bool& done) {
    bool late = false;
    loop_->After(std::chrono::seconds(10), [&] { late = true; });
    while (!done && !late) {
      loop_->Post([this] { loop_->Stop(); });
      loop_->Run();
    }
    EXPECT_FALSE(late);
  }

  std::unique_ptr<EpollLoop> loop_;
  std::unique_ptr<BrokerClient> client_;
  UniqueFd broker_;
};

TEST_F(BrokerClientTest, MatchesAnswersThatOvertakeOneAnother) {
  std::string order;
  bool done = false;
  client_->KillStep({1, 1, 0}, [&](Result<> r) {
    order += r ? "kill " : "?";
    done = order.size() > 5;
  });
  client_->ForgetStep({2, 1, 0}, [&](Result<> r) {
    order += r ? "forget " : "?";
    done = order.size() > 7;
  });
  auto kill = *Decode<StepRequest>(Receive().payload, "test");
  auto forget = *Decode<StepRequest>(Receive().payload, "test");
  EXPECT_EQ(kill.step.job, 1u);
  Send(BrokerFrame::kDone, Answer{forget.id});
  Send(BrokerFrame::kDone, Answer{kill.id});
  RunUntil(done);
  EXPECT_EQ(order, "forget kill ");
}

TEST_F(BrokerClientTest, CarriesDescriptorsBothWays) {
  bool done = false;
  UniqueFd spec = std::move(*MakeSealedMemfd("spec", "the spec"));
  client_->StartStep(SignedCredential{"body", "signature"}, {}, {{}, 5, true}, std::move(spec),
                     [](Result<>) {});
  Received start = Receive();
  auto request = Decode<slipway::StartStep>(start.payload, "test");
  EXPECT_EQ(request->credential.body, "body");
  EXPECT_EQ(request->lease_boot_ms, 5u);
  EXPECT_TRUE(request->pmix);
  ASSERT_EQ(start.fds.size(), 1u);
  EXPECT_EQ(*ReadSealedMemfd(start.fds[0].get(), 100), "the spec");

  client_->ImportImage(std::move(*MakeSealedMemfd("sif", "x")), false,
                       [&](Result<BrokerClient::Imported> imported) {
                         ASSERT_TRUE(imported);
                         EXPECT_EQ(imported->image.digest, "sha256:1");
                         EXPECT_EQ(*ReadAll(imported->file.get(), 100), "ours");
                         done = true;
                       });
  Received import = Receive();
  UniqueFd ours = std::move(*MakeSealedMemfd("ours", "ours"));
  Send(BrokerFrame::kImported,
       ImportedImage{Decode<ImportRequest>(import.payload, "test")->id, "sha256:1", 4}, {ours.get()});
  RunUntil(done);
}

TEST_F(BrokerClientTest, HandsOnRefusalsWithTheirCode) {
  bool done = false;
  client_->RemoveImage("sha256:1", [&](Result<> r) {
    EXPECT_EQ(r.error().code, Code::kFailedPrecondition);
    EXPECT_THAT(r.error().message, HasSubstr("in use"));
    done = true;
  });
  auto request = *Decode<ImageRequest>(Receive().payload, "test");
  Send(BrokerFrame::kError, BrokerError{request.id, static_cast<int>(Code::kFailedPrecondition), "in use"});
  RunUntil(done);
}

TEST_F(BrokerClientTest, TellsEventsAndLists) {
  bool gone = false, listed = false;
  std::string node;
  client_->SetEvents({.welcome = [&](const BrokerWelcome& w) { node = w.node; },
                      .step_gone = [&](const StepGone& g) { gone = g.reason == "time limit"; },
                      .lost = {}});
  Send(BrokerFrame::kWelcome, BrokerWelcome{.node = "n1"});
  Send(BrokerFrame::kStepGone, StepGone{{1, 1, 0}, 9, "time limit"});
  RunUntil(gone);
  EXPECT_EQ(node, "n1");
  client_->ListImages([&](Result<std::vector<StoredImage>> images) {
    ASSERT_TRUE(images.has_value() && images->size() == 2);
    EXPECT_EQ((*images)[1].digest, "b");
    EXPECT_EQ((*images)[1].bytes, 7u);
    listed = true;
  });
  Send(BrokerFrame::kImages,
       ImageList{Decode<PlainRequest>(Receive().payload, "test")->id, {{"a", 5, 1}, {"b", 7, 2}}});
  RunUntil(listed);
}

TEST_F(BrokerClientTest, FailsWhatIsPendingWhenTheBrokerGoes) {
  int unavailable = 0;
  bool lost = false, later = false;
  auto count = [&](Result<> r) { unavailable += r.error().code == Code::kUnavailable ? 1 : 0; };
  client_->SetEvents({.welcome = {}, .step_gone = {}, .lost = [&](Error) { lost = true; }});
  client_->KillStep({1, 1, 0}, count);
  client_->EndJob({1, 1, 0}, count);
  broker_.reset();
  RunUntil(lost);
  EXPECT_EQ(unavailable, 2);
  client_->KillStep({1, 1, 0}, [&](Result<> r) { later = r.error().code == Code::kUnavailable; });
  EXPECT_FALSE(later);  // not from within the call
  RunUntil(later);
}

TEST_F(BrokerClientTest, MayBeDestroyedByItsOwnCallback) {
  bool done = false;
  client_->SetEvents({.welcome = {}, .step_gone = {}, .lost = [&](Error) { FAIL(); }});
  client_->KillStep({1, 1, 0}, [&](Result<>) {
    client_.reset();
    done = true;
  });
  client_->KillStep({2, 1, 0}, [&](Result<>) { FAIL(); });
  broker_.reset();
  RunUntil(done);
}

TEST_F(BrokerClientTest, QueuesWhatTheSocketWillNotTake) {
  constexpr int kRequests = 2000;
  int answered = 0;
  bool done = false;
  for (int i = 0; i < kRequests; ++i) {
    client_->RemoveImage(std::string(1000, 'x'), [&](Result<> r) {
      answered += r ? 1 : 0;
      done = answered == kRequests;
    });
  }
  ASSERT_TRUE(SetNonblocking(broker_.get()));
  std::vector<std::uint64_t> ids;
  while (ids.size() < kRequests) {
    auto message = ReceiveMessage(broker_.get());
    if (!message) {
      loop_->Post([this] { loop_->Stop(); });
      loop_->Run();
      continue;
    }
    auto frame = *SplitFrame<BrokerFrame>(message->bytes);
    ids.push_back(Decode<ImageRequest>(frame.payload, "test")->id);
    loop_->Post([this] { loop_->Stop(); });
    if (SendMessage(broker_.get(), EncodeFrame(BrokerFrame::kDone, Answer{ids.back()}))) loop_->Run();
  }
  RunUntil(done);
  EXPECT_EQ(answered, kRequests);
}

TEST_F(BrokerClientTest, GivesUpOnABrokerThatMakesNoSense) {
  bool lost = false;
  client_->SetEvents(
      {.welcome = {}, .step_gone = {}, .lost = [&](Error e) { lost = e.code == Code::kInternal; }});
  Send(BrokerFrame::kDone, Answer{77});
  RunUntil(lost);
}

TEST(BrokerClient, SaysSoWhereNoBrokerRuns) {
  auto loop = std::move(*EpollLoop::Make());
  auto client = BrokerClient::Connect(*loop, "/nonexistent/broker.sock");
  ASSERT_FALSE(client);
  EXPECT_THAT(client.error().message, HasSubstr("the node's broker"));
}

}  // namespace
}  // namespace slipway
