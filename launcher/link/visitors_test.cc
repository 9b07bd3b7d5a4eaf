// SPDX-License-Identifier: Apache-2.0
// The test is the container's init on one side and those who come to the door on the other.
#include "launcher/link/visitors.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <optional>

#include "base/loop/epoll_loop.h"
#include "launcher/spec/task_order.h"

namespace slipway {
namespace {

using testing::HasSubstr;

class VisitorsTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = *MakeTempDirectory("/tmp", "slipway-visitors-test-");
    SocketEnds control = std::move(*MakeSocketPair(SOCK_SEQPACKET));
    init_end_ = std::move(control.b);
    ASSERT_TRUE(SetNonblocking(init_end_.get()));
    init_.emplace(*loop_, std::move(control.a),
                  InitLink::Events{
                      .added_started = [this](TaskStarted started) { visitors_->OnStarted(started); },
                      .added_exited = [this](TaskExited exited) { visitors_->OnExited(exited); },
                      .added_failed = [this](TaskFailed failed) { visitors_->OnFailed(failed); },
                      .gone = [this](std::string) { visitors_->OnInitGone(); },
                  });
    visitors_.emplace(*loop_, *init_);
    door_.emplace(*loop_, std::move(*ListenUnix(dir_ + "/sock", SOCK_STREAM, 0600)), 64 << 10,
                  Door::Events{.may_enter = [this](const PeerIdentity&) { return welcome_; },
                               .opened = [this](Opening opening) { visitors_->Admit(std::move(opening)); }});
    ASSERT_TRUE(init_->Start());
    ASSERT_TRUE(door_->Start());
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(dir_)); }

  // Runs the loop until all that lies ready has been handled.
  void Settle() {
    for (int i = 0; i < 8; ++i) {
      loop_->After(Duration(0), [this] { loop_->Stop(); });
      loop_->Run();
    }
  }
  UniqueFd Connect() {
    UniqueFd fd = std::move(*ConnectUnix(dir_ + "/sock", SOCK_STREAM));
    CHECK(SetNonblocking(fd.get()).has_value());
    return fd;
  }
  UniqueFd Visit(std::size_t fds = 2) {
    UniqueFd visitor = Connect();
    UniqueFd null = std::move(*Open("/dev/null", O_RDWR));
    CHECK(SendMessage(visitor.get(), WithLength(EncodeFrame(TaskFrame::kRun, TaskHello{})),
                      std::vector<int>(fds, null.get()))
              .has_value());
    Settle();
    return visitor;
  }
  // What reached the init; a frame of kind 0 when nothing did.
  struct Got {
    InitFrame kind{};
    std::string payload;
    std::size_t fds = 0;
  };
  Got AtInit() {
    auto message = ReceiveMessage(init_end_.get());
    if (!message) return {};
    auto frame = *SplitFrame<InitFrame>(message->bytes);
    return {frame.kind, std::string(frame.payload), message->fds.size()};
  }
  std::uint32_t NumberAtInit() {
    Got got = AtInit();
    EXPECT_EQ(got.kind, InitFrame::kRunTask);
    auto request = Decode<RunTask>(got.payload, "test");
    return request ? request->task : 0;
  }
  template <class T>
  void FromInit(InitFrame kind, const T& payload) {
    ASSERT_TRUE(SendMessage(init_end_.get(), EncodeFrame(kind, payload)));
    Settle();
  }
  // The kinds of what a visitor was told; `closed` when nothing more can come.
  struct Told {
    std::vector<TaskFrame> kinds;
    std::string words;
    bool closed = false;
  };
  Told What(const UniqueFd& visitor) {
    Told told;
    FrameReader reader;
    char buffer[4096];
    for (ssize_t got; (got = ::recv(visitor.get(), buffer, sizeof buffer, 0)) >= 0;) {
      if (got == 0) {
        told.closed = true;
        break;
      }
      reader.Feed({buffer, static_cast<std::size_t>(got)});
    }
    if (errno == ECONNRESET) told.closed = true;
    while (auto bytes = *reader.Next()) {
      auto frame = *SplitFrame<TaskFrame>(*bytes);
      told.kinds.push_back(frame.kind);
      if (frame.kind == TaskFrame::kFailed) told.words = Decode<InitFailed>(frame.payload, "test")->message;
    }
    return told;
  }
  void Signal(const UniqueFd& visitor, std::int32_t number) {
    ASSERT_TRUE(WriteAll(visitor.get(), WithLength(EncodeFrame(TaskFrame::kSignal, number))));
    Settle();
  }

  std::string dir_;
  bool welcome_ = true;
  std::unique_ptr<EpollLoop> loop_ = std::move(*EpollLoop::Make());
  UniqueFd init_end_;
  std::optional<InitLink> init_;
  std::optional<Visitors> visitors_;
  std::optional<Door> door_;
};

TEST_F(VisitorsTest, EachGetsHisOwnAnswersAndSignals) {
  UniqueFd one = Visit(), two = Visit(4);
  std::uint32_t first = NumberAtInit();
  Got got = AtInit();
  std::uint32_t second = Decode<RunTask>(got.payload, "test")->task;
  EXPECT_EQ(got.fds, 4U);
  EXPECT_NE(first, second);
  Signal(two, SIGUSR1);
  auto signal = *Decode<TaskSignal>(AtInit().payload, "test");
  EXPECT_EQ(signal.task, static_cast<std::int32_t>(second));
  EXPECT_EQ(signal.signal_number, SIGUSR1);
  FromInit(InitFrame::kStarted, TaskStarted{first, 7});
  FromInit(InitFrame::kExited, TaskExited{first, 0});
  FromInit(InitFrame::kTaskFailed, TaskFailed{second, 127, "not there"});
  Told told = What(one);
  EXPECT_EQ(told.kinds, (std::vector<TaskFrame>{TaskFrame::kStarted, TaskFrame::kExited}));
  EXPECT_TRUE(told.closed);
  EXPECT_EQ(What(two).words, "not there");
}

TEST_F(VisitorsTest, WhoGoesTakesHisProcessAlong) {
  UniqueFd visitor = Visit();
  auto number = static_cast<std::int32_t>(NumberAtInit());
  visitor.reset();
  Settle();
  for (int expected : {SIGHUP, SIGCONT}) {
    auto signal = *Decode<TaskSignal>(AtInit().payload, "test");
    EXPECT_EQ(signal.task, number);
    EXPECT_EQ(signal.signal_number, expected);
  }
  FromInit(InitFrame::kExited, TaskExited{static_cast<std::uint32_t>(number), 129});
}

TEST_F(VisitorsTest, AllAreToldWhenTheContainerEnds) {
  UniqueFd visitor = Visit();
  init_end_.reset();
  Settle();
  Told told = What(visitor);
  EXPECT_THAT(told.words, HasSubstr("ended"));
  EXPECT_TRUE(told.closed);
}

TEST_F(VisitorsTest, ARequestThatMakesNoSenseIsTurnedAway) {
  EXPECT_THAT(What(Visit(0)).words, HasSubstr("0 descriptors"));
  EXPECT_THAT(What(Visit(2 + kTaskStreamsMax)).words, HasSubstr("6 descriptors"));
  UniqueFd old = Connect();
  ASSERT_TRUE(WriteAll(old.get(), WithLength(EncodeFrame(TaskFrame::kRun, TaskHello{.version = 9}))));
  Settle();
  EXPECT_THAT(What(old).words, HasSubstr("version"));
  EXPECT_EQ(AtInit().kind, InitFrame{});
}

TEST_F(VisitorsTest, GarbageEndsTheConnectionAndItsProcessOnly) {
  UniqueFd other = Visit(), visitor = Visit();
  NumberAtInit();
  std::uint32_t number = NumberAtInit();
  Signal(visitor, 99);
  EXPECT_TRUE(What(visitor).closed);
  EXPECT_EQ(static_cast<std::uint32_t>(Decode<TaskSignal>(AtInit().payload, "test")->task), number);
  EXPECT_FALSE(What(other).closed);
}

TEST_F(VisitorsTest, AreBoundedInNumber) {
  std::vector<UniqueFd> all;
  for (std::size_t i = 0; i < kAddedTasksMax; ++i) all.push_back(Visit());
  EXPECT_THAT(What(Visit()).words, HasSubstr("already"));
}

TEST_F(VisitorsTest, TheDoorIsClosedToStrangersAndBoundedForTheSilent) {
  welcome_ = false;
  UniqueFd stranger = Connect();
  Settle();
  EXPECT_TRUE(What(stranger).closed);
  welcome_ = true;
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 65; ++i) {
    silent.push_back(Connect());
    Settle();
  }
  EXPECT_TRUE(What(silent[0]).closed);  // the oldest had to go
  EXPECT_FALSE(What(silent[1]).closed);
  UniqueFd big = Connect();
  ASSERT_TRUE(WriteAll(big.get(), std::string("\xff\xff\xff\x7f", 4)));
  Settle();
  EXPECT_TRUE(What(big).closed);
}

}  // namespace
}  // namespace slipway
