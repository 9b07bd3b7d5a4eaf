// SPDX-License-Identifier: Apache-2.0
#include "agent/node/peers.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <set>

#include "agent/node/fakes_test.h"
#include "api/pki.h"

namespace slipway {
namespace {

class PeersTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = *MakeTempDirectory("/tmp", "slipway-fetch-");
    ASSERT_TRUE(InitCluster(dir_, "test"));
    for (const char* node : {"n1", "n2"}) ASSERT_TRUE(IssueNode(dir_, node));
  }
  void TearDown() override { ASSERT_TRUE(RemoveTree(dir_)); }
  TlsFiles FilesOf(const std::string& node) const {
    return {dir_ + "/ca.pem", Cat(dir_, "/nodes/", node, ".crt"), Cat(dir_, "/nodes/", node, ".key")};
  }
  std::string dir_;
};

TEST_F(PeersTest, APeerThatCannotBeReachedIsReportedLostAfterItsTime) {
  auto loop = std::move(*EpollLoop::Make());
  std::string lost;
  PeerLinks links(*loop, FilesOf("n1"), {.lost_after = std::chrono::milliseconds(300)},
                  [&](const std::string& node, const std::string&) { lost = node; });
  links.Send("n2", "127.0.0.1:1", {42, 1, 0}, 1, {.bytes = "x"});
  EXPECT_TRUE(TurnUntil(*loop, [&] { return !lost.empty(); }));
  EXPECT_EQ(lost, "n2");
}

TEST_F(PeersTest, APeersNameIsThatOfItsCertificateAndAStrangerHasNone) {
  auto loop = std::move(*EpollLoop::Make());
  std::string sender;
  auto server = PeerServer::Start(
      *loop, "127.0.0.1:0", FilesOf("n1"),
      [&](const StepId&, std::uint32_t, PeerWord word) { sender = word.sender; }, nullptr);
  ASSERT_TRUE(server) << server.error().message;
  std::string address = Cat("127.0.0.1:", (*server)->port());
  {
    PeerLinks links(*loop, FilesOf("n2"), {}, [](const std::string&, const std::string&) {});
    links.Send("n1", address, {42, 1, 0}, 0, {.sender = "n9", .bytes = "x"});
    EXPECT_TRUE(TurnUntil(*loop, [&] { return !sender.empty(); }));
    EXPECT_EQ(sender, "n2");
  }
  sender.clear();
  bool lost = false;
  TlsFiles nobody{.ca = dir_ + "/ca.pem"};
  PeerLinks links(*loop, nobody, {.lost_after = std::chrono::milliseconds(300)},
                  [&](const std::string&, const std::string&) { lost = true; });
  links.Send("n1", address, {42, 1, 0}, 0, {.bytes = "x"});
  EXPECT_TRUE(TurnUntil(*loop, [&] { return lost; }));
  EXPECT_EQ(sender, "");
}

TEST_F(PeersTest, WhoIsNoAgentIsLetGoAndAnAgentIsHeardBesideHim) {
  auto loop = std::move(*EpollLoop::Make());
  std::set<std::uint32_t> heard;
  auto server =
      PeerServer::Start(*loop, "127.0.0.1:0", FilesOf("n1"),
                        [&](const StepId&, std::uint32_t, PeerWord word) { heard.insert(word.from_node); },
                        nullptr, {.at_once = 4, .within = std::chrono::milliseconds(300)});
  ASSERT_TRUE(server) << server.error().message;
  std::string address = Cat("127.0.0.1:", (*server)->port());
  auto to = TcpAddressesOf(address, HostNames::kNumbersOnly);
  ASSERT_TRUE(to);
  // Silent, half a greeting, no greeting, a greeting and then no TLS, and more of them than are borne.
  std::vector<UniqueFd> strangers;
  for (std::string said :
       {"", "slipway", "GET / HTTP/1.0\r\n\r\n", "slipway peer 1\nno TLS", "", "", "", ""}) {
    auto socket = StartConnectTcp(to->front());
    ASSERT_TRUE(socket);
    pollfd ready{.fd = socket->get(), .events = POLLOUT};
    ASSERT_EQ(::poll(&ready, 1, 10'000), 1);
    ASSERT_TRUE(WriteAll(socket->get(), said));
    strangers.push_back(std::move(*socket));
  }
  for (UniqueFd& stranger : strangers) {
    EXPECT_TRUE(TurnUntil(*loop, [&] {
      char bytes[64];
      ssize_t got = ::recv(stranger.get(), bytes, sizeof bytes, MSG_DONTWAIT);  // an alert, or the end
      return got == 0 || (got < 0 && errno != EAGAIN);
    }));
  }
  PeerLinks links(*loop, FilesOf("n2"), {}, [](const std::string&, const std::string&) {});
  auto send = [&](std::uint32_t number, std::size_t bytes) {
    links.Send("n1", address, {42, 1, 0}, 0, {.from_node = number, .bytes = std::string(bytes, 'x')});
  };
  // Both ends share this thread, and what it does beside is time in which the agent has not proved itself:
  // the bulk waits until it has, and the first word is said again where it was too late.
  for (int tries = 0; tries < 3 && heard.empty(); ++tries) {
    send(0, 1);
    TurnUntil(*loop, [&] { return !heard.empty(); });
  }
  for (std::uint32_t i = 1; i < 100; ++i) send(i, 100'000);
  EXPECT_TRUE(TurnUntil(*loop, [&] { return heard.size() == 100; }));
}

}  // namespace
}  // namespace slipway
