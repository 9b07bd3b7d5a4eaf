// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/guard.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/os/fd.h"
#include "base/os/peer_owner.h"
#include "base/os/process.h"

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

}  // namespace
}  // namespace slipway
