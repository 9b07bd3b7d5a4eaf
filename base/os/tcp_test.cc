// SPDX-License-Identifier: Apache-2.0
#include "base/os/tcp.h"

#include <gtest/gtest.h>
#include <poll.h>

namespace slipway {
namespace {

bool Ready(int fd, short events) {
  pollfd wanted{.fd = fd, .events = events};
  return ::poll(&wanted, 1, 10'000) == 1;
}

TEST(Tcp, OneConnectsToAPortThatAnotherListensOn) {
  for (const char* every : {"127.0.0.1:0", "0.0.0.0:0"}) {
    auto door = ListenTcp(every);
    ASSERT_TRUE(door) << door.error().message;
    auto to = TcpAddressesOf(Cat("127.0.0.1:", TcpPortOf(door->get()).value_or(0)), HostNames::kNumbersOnly);
    ASSERT_TRUE(to) << to.error().message;
    EXPECT_EQ(AcceptTcp(door->get()).error().code, Code::kResourceExhausted);
    auto caller = StartConnectTcp(to->front());
    ASSERT_TRUE(caller) << caller.error().message;
    ASSERT_TRUE(Ready(door->get(), POLLIN));
    auto called = AcceptTcp(door->get());
    ASSERT_TRUE(called) << called.error().message;
    ASSERT_TRUE(Ready(caller->get(), POLLOUT));
    ASSERT_TRUE(WriteAll(caller->get(), "x"));
    ASSERT_TRUE(Ready(called->get(), POLLIN));
  }
}

TEST(Tcp, APortThatAnotherListensOnIsRefused) {
  auto door = ListenTcp("127.0.0.1:0");
  ASSERT_TRUE(door);
  auto second = ListenTcp(Cat("127.0.0.1:", *TcpPortOf(door->get())));
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("bind"), std::string::npos) << second.error().message;
}

TEST(Tcp, WhatIsNoAddressIsSaidByName) {
  for (const char* where : {"", "n1", ":1", "n1:1", "10.0.0.1:no", "[::1"}) {
    auto found = TcpAddressesOf(where, HostNames::kNumbersOnly);
    ASSERT_FALSE(found) << where;
    EXPECT_NE(found.error().message.find(where), std::string::npos);
  }
  EXPECT_TRUE(TcpAddressesOf("[::1]:6822", HostNames::kNumbersOnly));
}

}  // namespace
}  // namespace slipway
