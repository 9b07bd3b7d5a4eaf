// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/crypto/crypto.h"
#include "cli/dev/namespaces.h"
#include "cli/dev/prepare.h"
#include "cli/dev/supervisor.h"

namespace slipway::dev {
namespace {

sockaddr_in AddressOf(const std::string& ip, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, ip.c_str(), &address.sin_addr);
  return address;
}

// In a node of its own kind: a socket, made there, works there wherever its owner is afterwards.
Result<UniqueFd> SocketIn(const NodeNamespaces& node) {
  UniqueFd here = TRY(Open("/proc/self/ns/net", O_RDONLY));
  if (::setns(node.network.get(), CLONE_NEWNET) < 0) return ErrnoFail("setns");
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::setns(here.get(), CLONE_NEWNET) < 0) return ErrnoFail("setns");
  return socket;
}

// The whole of it in a child with namespaces of its own, as the supervisor has: nothing of the host is
// touched.
int TwoNodesTalk() {
  if (::unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) return 10;
  if (!MakeBridge()) return 11;
  auto one = MakeNode({.host_name = "n1"}), two = MakeNode({.host_name = "n2"});
  if (!one || !two) return 12;
  if (!PlugIn(*one, 1) || !PlugIn(*two, 2)) return 13;
  auto listener = SocketIn(*one), caller = SocketIn(*two);
  if (!listener || !caller) return 14;
  sockaddr_in any = AddressOf("10.77.0.1", 7000);
  if (::bind(listener->get(), reinterpret_cast<sockaddr*>(&any), sizeof any) < 0 ||
      ::listen(listener->get(), 1) < 0)
    return 15;
  if (::connect(caller->get(), reinterpret_cast<sockaddr*>(&any), sizeof any) < 0) return 16;
  sockaddr_in peer{};
  socklen_t size = sizeof peer;
  UniqueFd accepted(::accept(listener->get(), reinterpret_cast<sockaddr*>(&peer), &size));
  return peer.sin_addr.s_addr == AddressOf("10.77.0.2", 0).sin_addr.s_addr ? 0 : 17;
}

TEST(Nodes, TalkOverABridgeThatTheHostDoesNotSee) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: network namespaces";
  auto child = Clone3({});
  ASSERT_TRUE(child);
  if (!*child) ::_exit(TwoNodesTalk());
  auto status = child->Wait();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->exit_code(), 0);
}

class Cluster : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: /var/lib/slipway and network namespaces";
    auto layout = LayoutOf("test-" + Hex(RandomBytes(4)));
    ASSERT_TRUE(layout);
    layout_ = *layout;
    options_.name = layout_.name;
    options_.daemons = false;
  }
  void TearDown() override {
    if (layout_.state.empty()) return;
    EXPECT_TRUE(EndSupervisor(layout_, std::chrono::seconds(10)));
    EXPECT_TRUE(RemoveRemains(layout_, false));
    ::rmdir("/var/lib/slipway/dev");
    ::rmdir("/var/lib/slipway");
  }
  // As `dev up` does it, without the exec. The report says "ok" or what failed.
  std::string Up() {
    auto prepared = Prepare(layout_, options_, IdentitiesOfCaller(), "/nowhere/slipway");
    if (!prepared) return prepared.error().message;
    auto report = MakePipe();
    auto child = Clone3({});
    if (!*child) {
      report->read.reset();
      ::_exit(Supervise(layout_, options_, IdentitiesOfCaller(), std::move(report->write)) ? 0 : 1);
    }
    outer_ = std::move(*child);
    report->write.reset();
    return ReadAll(report->read.get(), 4096).value_or("");
  }
  Layout layout_;
  Options options_;
  Process outer_;
};

TEST_F(Cluster, ComesUpAndLeavesNothingBehind) {
  ASSERT_EQ(Up(), "ok");
  EXPECT_GT(RunningSupervisor(layout_).value_or(0), 0);
  ASSERT_TRUE(outer_.Signal(SIGTERM));
  auto status = outer_.Wait();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->exit_code(), 0);
  EXPECT_EQ(RunningSupervisor(layout_).value_or(-1), 0);
  ASSERT_TRUE(RemoveRemains(layout_, false));
  EXPECT_LT(::access(layout_.state.c_str(), F_OK), 0);
}

TEST_F(Cluster, ASecondSupervisorIsRefused) {
  ASSERT_EQ(Up(), "ok");
  Process first = std::move(outer_);
  EXPECT_NE(Up().find("running already"), std::string::npos);
  ASSERT_TRUE(first.Signal(SIGTERM));
  ASSERT_TRUE(first.Wait());
  ASSERT_TRUE(outer_.Wait());
}

TEST_F(Cluster, NothingSurvivesTheSupervisorsDeath) {
  ASSERT_EQ(Up(), "ok");
  ASSERT_TRUE(outer_.Signal(SIGKILL));
  ASSERT_TRUE(outer_.Wait());
  EXPECT_TRUE(EndSupervisor(layout_, std::chrono::seconds(10)));
}

}  // namespace
}  // namespace slipway::dev
