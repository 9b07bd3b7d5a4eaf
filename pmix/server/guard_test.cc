// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/guard.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <csignal>

#include "base/os/fd.h"
#include "base/os/peer_owner.h"
#include "base/os/process.h"
#include "base/os/socket.h"

namespace slipway {
namespace {

struct Listener {
  UniqueFd fd;
  sockaddr_in address{};
};

Listener ListenOnLoopback() {
  Listener listener;
  listener.fd.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  listener.address.sin_family = AF_INET;
  listener.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof listener.address;
  auto* address = reinterpret_cast<sockaddr*>(&listener.address);
  EXPECT_EQ(::bind(listener.fd.get(), address, size), 0);
  EXPECT_EQ(::listen(listener.fd.get(), 8), 0);
  EXPECT_EQ(::getsockname(listener.fd.get(), address, &size), 0);
  return listener;
}

UniqueFd Connect(const Listener& listener) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof listener.address) < 0)
    fd.reset();
  return fd;
}

TEST(Guard, LetsTheJobsUserInAndReadsWhatHeSends) {
  Listener listener = ListenOnLoopback();
  GuardAcceptedConnections(::geteuid());
  UniqueFd client = Connect(listener);
  UniqueFd accepted(::accept(listener.fd.get(), nullptr, nullptr));
  ASSERT_TRUE(accepted);
  EXPECT_EQ(*OwnerOfPeer(accepted.get()), ::geteuid());
  ASSERT_TRUE(WriteAll(client.get(), "hello"));
  char buffer[16];
  EXPECT_EQ(::read(accepted.get(), buffer, sizeof buffer), 5);
}

TEST(Guard, ClosesAStrangersConnectionUnread) {
  if (::geteuid() != 0) GTEST_SKIP() << "another uid can be taken on only as root";
  constexpr uid_t kStranger = 20777;
  Listener listener = ListenOnLoopback();
  GuardAcceptedConnections(::geteuid());
  auto child = Clone3({});
  ASSERT_TRUE(child);
  if (!*child) {
    if (::setresuid(kStranger, kStranger, kStranger) < 0) ::_exit(9);
    UniqueFd fd = Connect(listener);
    char byte;
    ::_exit(fd && ::recv(fd.get(), &byte, 1, 0) <= 0 ? 0 : 1);  // closed by the other side
  }
  std::uint64_t before = RefusedConnections();
  EXPECT_EQ(::accept(listener.fd.get(), nullptr, nullptr), -1);
  EXPECT_EQ(errno, ECONNABORTED);
  EXPECT_EQ(RefusedConnections(), before + 1);
  EXPECT_EQ(child->Wait()->exit_code(), 0);
}

TEST(Guard, LetsNobodyInWhenTheUserIsAnother) {
  Listener listener = ListenOnLoopback();
  GuardAcceptedConnections(::geteuid() + 1);
  UniqueFd client = Connect(listener);
  EXPECT_EQ(::accept(listener.fd.get(), nullptr, nullptr), -1);
  GuardAcceptedConnections(::geteuid());
}

class TapUnderTest : public ConnectionTap {
 public:
  TapUnderTest() { TapAcceptedConnections(this); }
  ~TapUnderTest() override { TapAcceptedConnections(nullptr); }
  void Opened(int) override {}
  void Greets(int, std::string_view) override {}
  void Received(int, char*, std::size_t size) override { ended |= size == 0; }
  bool MayEnd(int) override { return may_end; }
  std::optional<std::string> Sends(int, std::string_view, std::string_view) override { return instead; }
  bool may_end = true, ended = false;
  std::optional<std::string> instead;
};

class GuardedTap : public ::testing::Test {
 protected:
  GuardedTap() {
    GuardAcceptedConnections(::geteuid());
    ::signal(SIGPIPE, SIG_IGN);
    client_ = Connect(listener_);
    accepted_.reset(::accept(listener_.fd.get(), nullptr, nullptr));
  }
  ssize_t Read() {
    char byte;
    return ::read(accepted_.get(), &byte, 1);
  }
  void ExpectWritten() {
    char message[] = "message";
    iovec part{message, sizeof message};
    EXPECT_EQ(::writev(accepted_.get(), &part, 1), static_cast<ssize_t>(sizeof message));
  }
  TapUnderTest tap_;
  Listener listener_ = ListenOnLoopback();
  UniqueFd client_, accepted_;
};

TEST_F(GuardedTap, TellsOfAnEndWhenItMayBeSeen) {
  client_.reset();
  tap_.may_end = false;
  EXPECT_EQ(Read(), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_FALSE(tap_.ended);
  tap_.may_end = true;
  EXPECT_EQ(Read(), 0);
  EXPECT_TRUE(tap_.ended);
}

// libpmix would take a failed write for the end, at once; so it hears of it from the read.
TEST_F(GuardedTap, LeavesItToTheReadToSayThatNobodyIsThere) {
  client_.reset();
  for (int i = 0; i < 3; ++i) ExpectWritten();  // the first is answered by a reset
  EXPECT_LE(Read(), 0);
  EXPECT_TRUE(tap_.ended);
}

TEST_F(GuardedTap, LetsGoOfWhoTakesHalfAMessageAndNoMore) {
  ASSERT_TRUE(SetNonblocking(accepted_.get()));
  tap_.instead = std::string(64 << 20, 'x');  // more than the kernel keeps for somebody who does not read
  ExpectWritten();
  EXPECT_EQ(Read(), 0);
  EXPECT_TRUE(tap_.ended);
}

}  // namespace
}  // namespace slipway
