// SPDX-License-Identifier: Apache-2.0
#include "pmix/pmi/rank_port.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/loop/epoll_loop.h"
#include "base/os/process.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway {
namespace {

using ::testing::ElementsAre;

constexpr int kTurnsMax = 20000;

class RankPortTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(::geteuid()); }
  void Open(uid_t uid) {
    port_ = *RankPort::Open(
        *loop_, uid, {.here = {2, 3}, .size = 4},
        [this](std::uint32_t rank, UniqueFd fd, std::string_view answered, std::string_view unanswered) {
          come_.push_back(Cat(rank, "|", answered, "|", unanswered));
          fds_.push_back(std::move(fd));
        });
    std::string_view address = port_->address();
    number_ = *ParseNumber(address.substr(address.rfind(':') + 1), 1, 65535);
  }
  UniqueFd Call() {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(number_));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  // What comes back until there is that much of it; empty: the connection has ended.
  std::string Read(const UniqueFd& fd, std::size_t bytes) {
    std::string text;
    for (int turn = 0; text.size() < bytes; ++turn) {
      if (turn == kTurnsMax) return "nothing came";
      Turn();
      char piece[256];
      ssize_t got = ::recv(fd.get(), piece, sizeof piece, MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) return {};
      text.append(piece, static_cast<std::size_t>(got));
    }
    return text;
  }
  void Turn() {
    loop_->After(std::chrono::milliseconds(1), [this] { loop_->Stop(); });
    loop_->Run();
  }
  void TurnUntilCome(std::size_t count) {
    for (int turn = 0; turn < kTurnsMax && come_.size() < count; ++turn) Turn();
    EXPECT_EQ(come_.size(), count);
  }

  std::unique_ptr<EpollLoop> loop_ = *EpollLoop::Make();
  std::unique_ptr<RankPort> port_;
  std::uint64_t number_ = 0;
  std::vector<std::string> come_;
  std::vector<UniqueFd> fds_;
};

constexpr char kTold[] = "cmd=initack\ncmd=set size=4\ncmd=set rank=3\ncmd=set debug=0\n";

TEST_F(RankPortTest, TellsARankOfTheFirstVersionWhatItAsks) {
  UniqueFd rank = Call();
  ASSERT_TRUE(WriteAll(rank.get(), "cmd=initack pmi"));
  EXPECT_FALSE(port_->HasCome(3));
  ASSERT_TRUE(WriteAll(rank.get(), "id=3\n"));
  EXPECT_EQ(Read(rank, sizeof kTold - 1), kTold);
  EXPECT_THAT(come_, ElementsAre("3||"));
  EXPECT_TRUE(port_->HasCome(3));
  EXPECT_FALSE(port_->HasCome(2));
}

TEST_F(RankPortTest, LearnsWhoARankOfTheSecondVersionIsFromItsFirstCommand) {
  UniqueFd rank = Call();
  std::string init = "cmd=init pmi_version=2 pmi_subversion=0\n", full = "    23cmd=fullinit;pmirank=2;";
  ASSERT_TRUE(WriteAll(rank.get(), init));
  EXPECT_EQ(Read(rank, 1).substr(0, 20), "cmd=response_to_init");
  ASSERT_TRUE(WriteAll(rank.get(), full));
  TurnUntilCome(1);
  EXPECT_THAT(come_, ElementsAre(Cat("2|", init, "|", full)));
  UniqueFd hasty = Call();
  full.replace(full.find("2;"), 1, "3");
  ASSERT_TRUE(WriteAll(hasty.get(), init + full));
  TurnUntilCome(2);
  EXPECT_EQ(come_.back(), Cat("3|", init, "|", full));
}

TEST_F(RankPortTest, LetsGoOfWhoSaysNothingUseful) {
  UniqueFd before = Call();
  ASSERT_TRUE(WriteAll(before.get(), "cmd=initack pmiid=3\n"));
  EXPECT_NE(Read(before, 1), "");
  for (const char* said : {"cmd=initack pmiid=3\n", "cmd=initack pmiid=0\n", "cmd=initack pmiid=x\n",
                           "cmd=initack\n", "cmd=init pmi_version=1 pmi_subversion=1\n", "GET / HTTP/1.1\n",
                           "cmd=init pmi_version=2\nxxxxxxxxx"}) {
    UniqueFd caller = Call();
    ASSERT_TRUE(WriteAll(caller.get(), said));
    std::string answer = Read(caller, 1);
    if (answer.starts_with("cmd=response_to_init")) answer = Read(caller, 1);
    EXPECT_EQ(answer, "") << said;
  }
  EXPECT_EQ(come_.size(), 1U);
}

TEST_F(RankPortTest, IsBoundedInHowManyMayStandAtTheDoor) {
  std::vector<UniqueFd> mute;
  for (std::size_t i = 0; i < kRankPortCallersMax; ++i) {
    mute.push_back(Call());
    Turn();
  }
  UniqueFd late = Call();
  EXPECT_EQ(Read(late, 1), "");
  mute.pop_back();
  Turn();
  UniqueFd rank = Call();
  ASSERT_TRUE(WriteAll(rank.get(), "cmd=initack pmiid=3\n"));
  EXPECT_EQ(Read(rank, sizeof kTold - 1), kTold);
}

TEST_F(RankPortTest, ClosesAStrangersConnectionUnread) {
  Open(::geteuid() + 1);
  UniqueFd stranger = Call();
  (void)WriteAll(stranger.get(), "cmd=initack pmiid=3\n");
  EXPECT_EQ(Read(stranger, 1), "");
  EXPECT_TRUE(come_.empty());
}

}  // namespace
}  // namespace slipway
