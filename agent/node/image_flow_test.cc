// SPDX-License-Identifier: Apache-2.0
// Images through whole agents: what a restart finds again, what goes when the room is used up, and what one
// node gives to another.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "agent/images/image_fetch.h"
#include "agent/node/virtual_node_test.h"
#include "api/pki.h"
#include "base/crypto/crypto.h"

namespace slipway {
namespace {

class ImageFlowTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = *MakeTempDirectory("/tmp", "slipway-images-");
    ASSERT_TRUE(InitCluster(dir_ + "/cluster", "test"));
    for (const char* node : {"n1", "n2"}) ASSERT_TRUE(IssueNode(dir_ + "/cluster", node));
    loop_ = std::move(*EpollLoop::Make());
    controller_ = std::make_unique<FakeController>(dir_ + "/cluster");
    n1_ = std::make_unique<VirtualNode>(*loop_, dir_, "n1");
    n2_ = std::make_unique<VirtualNode>(*loop_, dir_, "n2");
    Serve('a');
  }
  void TearDown() override {
    n1_.reset();
    n2_.reset();
    controller_.reset();
    loop_.reset();
    ASSERT_TRUE(RemoveTree(dir_));
  }
  // The controller's image from now on: kBytes of its own.
  std::string Serve(char which) {
    std::lock_guard lock(controller_->images.mutex);
    controller_->images.bytes = std::string(kBytes, which);
    for (std::size_t i = 0; i < kBytes; i += 1000) controller_->images.bytes[i] = static_cast<char>(i / 1000);
    return DigestOf(controller_->images.bytes);
  }
  void Start(VirtualNode& node) {
    std::size_t before = Registrations();
    node.StartAgent(controller_->target());
    ASSERT_TRUE(TurnUntil(*loop_, [&] { return Registrations() > before; }));
  }
  std::size_t Registrations() {
    return controller_->Count([](const v1::FromNode& m) { return m.has_register_(); });
  }
  // To the node that connected last; the answer.
  v1::ImageState Prefetch(const std::string& digest) {
    auto is_answer = [&](const v1::FromNode& m) { return m.has_image() && m.image().digest() == digest; };
    std::size_t before = controller_->Count(is_answer);
    v1::ToNode message;
    message.mutable_prefetch()->set_digest(digest);
    controller_->Send(message);
    EXPECT_TRUE(TurnUntil(*loop_, [&] { return controller_->Count(is_answer) > before; }));
    v1::ImageState last;
    for (auto& m : controller_->Received())
      if (is_answer(m)) last = m.image();
    return last;
  }
  void Offer(VirtualNode& node) {
    std::lock_guard lock(controller_->images.mutex);
    controller_->images.holders[node.name] = Cat("127.0.0.1:", node.port);
  }
  int Asked() {
    std::lock_guard lock(controller_->images.mutex);
    return controller_->images.chunks;
  }
  std::vector<std::string> Folder(VirtualNode& node) {
    return *NamesIn(Cat(dir_, "/", node.name, "/state/images"));
  }

  static constexpr std::size_t kBytes = 300000;
  std::string dir_;
  std::unique_ptr<EpollLoop> loop_;
  std::unique_ptr<FakeController> controller_;
  std::unique_ptr<VirtualNode> n1_, n2_;
};

TEST_F(ImageFlowTest, TheSecondNodeFetchesFromTheFirst) {
  std::string digest = Serve('a');
  Start(*n1_);
  EXPECT_EQ(Prefetch(digest).from_controller(), 5U);
  Offer(*n1_);
  Start(*n2_);
  v1::ImageState state = Prefetch(digest);
  EXPECT_TRUE(state.held());
  EXPECT_EQ(state.from_peers(), 5U);
  EXPECT_EQ(Asked(), 5);
}

TEST_F(ImageFlowTest, AnAgentMadeAnewStillGivesWhatItsNodeHolds) {
  std::string digest = Serve('a');
  Start(*n1_);
  Prefetch(digest);
  n1_->agent.reset();
  Start(*n1_);
  Offer(*n1_);
  Start(*n2_);
  EXPECT_EQ(Prefetch(digest).from_peers(), 5U);
}

TEST_F(ImageFlowTest, AnAgentThatEndsInTheMiddleIsFollowedByOneThatGoesOn) {
  std::string digest = Serve('a');
  controller_->images.gives_only = 3;
  Start(*n1_);
  v1::ToNode message;
  message.mutable_prefetch()->set_digest(digest);
  controller_->Send(message);
  std::string part = PartialPath(dir_ + "/n1/state/images", digest);
  auto chunks_here = [&] {
    auto file = Open(part, O_RDONLY);
    std::uint32_t here = 0;
    for (std::size_t at = 0; file && at < kBytes; at += 64 << 10) {
      std::string bytes(std::min<std::size_t>(64 << 10, kBytes - at), '\0');
      here += ReadExactlyAt(file->get(), std::as_writable_bytes(std::span(bytes)), at).has_value() &&
              bytes == controller_->images.bytes.substr(at, 64 << 10);
    }
    return here;
  };
  ASSERT_TRUE(TurnUntil(*loop_, [&] { return Asked() == 5 && chunks_here() == 3; }));
  n1_->agent.reset();
  controller_->images.gives_only = 1 << 30;
  Start(*n1_);
  v1::ImageState state = Prefetch(digest);
  EXPECT_EQ(state.resumed(), 3U);
  EXPECT_EQ(state.from_controller(), 2U);
}

TEST_F(ImageFlowTest, WhatWasUsedLongestAgoGoesWhenTheRoomIsUsedUpAndWhatAStepUsesStays) {
  n1_->image_cache_bytes = 2 * kBytes;
  std::string a = Serve('a');
  Start(*n1_);
  Prefetch(a);
  std::string b = Serve('b');
  Prefetch(b);
  n1_->broker.in_use = {a};
  std::string c = Serve('c');
  EXPECT_TRUE(Prefetch(c).held());
  EXPECT_EQ(n1_->broker.images, (std::set<std::string>{a, c}));
  // All that could go is in use: nothing is fetched ahead.
  n1_->broker.in_use = {a, c};
  int asked = Asked();
  std::string d = Serve('d');
  v1::ImageState refused = Prefetch(d);
  EXPECT_FALSE(refused.held());
  EXPECT_NE(refused.error().find("agent.image_cache"), std::string::npos) << refused.error();
  EXPECT_EQ(Asked(), asked);
  EXPECT_EQ(Folder(*n1_).size(), 3U);  // a, c, index
}

TEST_F(ImageFlowTest, WhatUsersImportedIntoTheNodesStoreGoesLikeTheRest) {
  std::string old = DigestOf("imported"), used = DigestOf("in use");
  n1_->broker.images = {old, used};
  n1_->broker.sizes = {{old, kBytes}, {used, kBytes}};
  n1_->broker.in_use = {used};
  n1_->image_cache_bytes = 2 * kBytes + 100000;
  std::string a = Serve('a');
  Start(*n1_);
  EXPECT_TRUE(Prefetch(a).held());
  EXPECT_EQ(n1_->broker.images, (std::set<std::string>{a, used}));
}

TEST_F(ImageFlowTest, ACacheThatIsTooSmallForTheImageSaysSoAndKeepsWhatItHas) {
  n1_->image_cache_bytes = kBytes;
  std::string a = Serve('a');
  Start(*n1_);
  Prefetch(a);
  std::string big;
  {
    std::lock_guard lock(controller_->images.mutex);
    controller_->images.bytes = std::string(kBytes + 1, 'x');
    big = DigestOf(controller_->images.bytes);
  }
  EXPECT_NE(Prefetch(big).error().find("is more than this node keeps"), std::string::npos);
  EXPECT_EQ(n1_->broker.images, std::set<std::string>{a});
}

TEST_F(ImageFlowTest, TheOrderOfUseOutlivesTheAgentAndRemainsOfFetchesGoFirst) {
  n1_->image_cache_bytes = 2 * kBytes + 100000;
  std::string a = Serve('a');
  Start(*n1_);
  Prefetch(a);
  std::string b = Serve('b');
  Prefetch(b);
  n1_->agent.reset();
  std::string stray = Cat(dir_, "/n1/state/images/", std::string(64, '0'), ".part");
  ASSERT_TRUE(WriteFileAtomically(stray, std::string(kBytes, 'x')));
  Start(*n1_);
  std::string c = Serve('c');
  EXPECT_TRUE(Prefetch(c).held());
  EXPECT_EQ(n1_->broker.images, (std::set<std::string>{b, c}));
  EXPECT_NE(::access(stray.c_str(), F_OK), 0);
}

TEST_F(ImageFlowTest, AnImageThatTheNodeDroppedIsNotGivenAnyMore) {
  std::string digest = Serve('a');
  Start(*n1_);
  Prefetch(digest);
  v1::ToNode drop;
  drop.mutable_drop_image()->set_digest(digest);
  controller_->Send(drop);
  ASSERT_TRUE(TurnUntil(*loop_, [&] {
    return controller_->Count([](auto& m) { return m.has_image() && !m.image().held(); }) > 0;
  }));
  Offer(*n1_);
  Start(*n2_);
  EXPECT_EQ(Prefetch(digest).from_controller(), 5U);
  EXPECT_EQ(Folder(*n1_).size(), 1U);  // index
}

}  // namespace
}  // namespace slipway
