// SPDX-License-Identifier: Apache-2.0
#include "agent/node/image_fetch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "agent/node/fakes_test.h"
#include "agent/node/peers.h"
#include "api/pki.h"
#include "base/crypto/crypto.h"
#include "base/os/mount.h"

namespace slipway {
namespace {

class FetchTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = *MakeTempDirectory("/tmp", "slipway-fetch-");
    ASSERT_TRUE(InitCluster(dir_, "test"));
    for (const char* node : {"n1", "n2"}) ASSERT_TRUE(IssueNode(dir_, node));
    controller_ = std::make_unique<FakeController>(dir_);
    controller_->images.bytes = RandomBytes(300000);
    wanted_ = {.digest = DigestOf(controller_->images.bytes), .bytes = 300000, .folder = dir_};
    channel_ = *DialTls(controller_->target(), FilesOf("n1"), kControllerTlsName);
  }
  void TearDown() override {
    channel_.reset();
    controller_.reset();
    ASSERT_TRUE(RemoveTree(dir_));
  }
  TlsFiles FilesOf(const std::string& node) const {
    return {dir_ + "/ca.pem", Cat(dir_, "/nodes/", node, ".crt"), Cat(dir_, "/nodes/", node, ".key")};
  }
  std::string dir_;
  std::unique_ptr<FakeController> controller_;
  std::shared_ptr<grpc::Channel> channel_;
  FetchRequirements wanted_;
  FetchCancel cancel_;
};

TEST_F(FetchTest, BringsTheBytesInAFileThatNobodyCanWrite) {
  auto file = FetchImage(channel_, wanted_, cancel_);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(*DigestOfFile(file->get()), wanted_.digest);
  EXPECT_LT(::write(file->get(), "x", 1), 0);
}

TEST_F(FetchTest, AFullDiskIsSaidPlainly) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make a small file system";
  // Detached: nobody else ever sees it, and it goes with the descriptor.
  auto small = MountNew("tmpfs", {{"size", "64k"}}, 0);
  ASSERT_TRUE(small) << small.error().message;
  wanted_.folder = Cat("/proc/self/fd/", small->get());
  auto file = FetchImage(channel_, wanted_, cancel_);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Code::kResourceExhausted);
  EXPECT_NE(file.error().message.find("no room for 300000 bytes"), std::string::npos) << file.error().message;
}

TEST_F(FetchTest, ADigestThatNobodyServesIsAnErrorAtOnce) {
  wanted_.digest = DigestOf("something else");
  auto file = FetchImage(channel_, wanted_, cancel_);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Code::kNotFound);
}

TEST_F(FetchTest, ASizeOtherThanAnnouncedIsRefused) {
  wanted_.bytes = 299999;
  EXPECT_EQ(FetchImage(channel_, wanted_, cancel_).error().code, Code::kDataLoss);
}

TEST_F(FetchTest, ACancelledFetchEndsWhileItsSourceIsAway) {
  controller_->Stop();
  std::thread fetch(
      [&] { EXPECT_EQ(FetchImage(channel_, wanted_, cancel_).error().code, Code::kCancelled); });
  cancel_.Cancel();
  fetch.join();
}

TEST_F(FetchTest, APeerThatCannotBeReachedIsReportedLostAfterItsTime) {
  auto loop = std::move(*EpollLoop::Make());
  std::string lost;
  PeerLinks links(*loop, FilesOf("n1"), {.lost_after = std::chrono::milliseconds(300)},
                  [&](const std::string& node, const std::string&) { lost = node; });
  links.Send("n2", "127.0.0.1:1", {42, 1, 0}, 1, {.bytes = "x"});
  EXPECT_TRUE(TurnUntil(*loop, [&] { return !lost.empty(); }));
  EXPECT_EQ(lost, "n2");
}

TEST_F(FetchTest, APeersNameIsThatOfItsCertificateAndAStrangerHasNone) {
  auto loop = std::move(*EpollLoop::Make());
  std::string sender;
  auto server = PeerServer::Start(*loop, "127.0.0.1:0", FilesOf("n1"),
                                  [&](const StepId&, std::uint32_t, PeerWord word) { sender = word.sender; });
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

}  // namespace
}  // namespace slipway
