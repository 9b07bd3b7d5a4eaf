// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/image_sources.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace slipway::scheduler {
namespace {

const std::string kImage = "sha256:" + std::string(64, 'a');
constexpr MonotonicTime kStart{std::chrono::hours(1)};

State ClusterOf(int nodes, int holders) {
  State state;
  for (int i = 0; i < nodes; ++i) {
    Node node{.name = Cat("n", i), .address = Cat("10.0.0.1:", i), .state = NodeState::kUp};
    if (i < holders) node.images.insert(kImage);
    state.nodes.emplace(node.name, node);
  }
  return state;
}

std::set<std::string> Names(const std::vector<ImageHolder>& holders) {
  std::set<std::string> names;
  for (const ImageHolder& holder : holders) names.insert(holder.node);
  return names;
}

TEST(ImageSources, WhoHoldsItAndWhoFetchesItIsNamedAndTheAskerIsNot) {
  ImageSources sources(1);
  State state = ClusterOf(4, 1);
  EXPECT_EQ(Names(sources.For(kImage, "n2", state, kStart).holders), (std::set<std::string>{"n0"}));
  auto later = kStart + std::chrono::seconds(1);
  EXPECT_EQ(Names(sources.For(kImage, "n3", state, later).holders), (std::set<std::string>{"n0", "n2"}));
  EXPECT_EQ(Names(sources.For(kImage, "n0", state, later).holders), (std::set<std::string>{"n2", "n3"}));
}

TEST(ImageSources, EachThatFetchesHasAPlaceOfItsOwn) {
  ImageSources sources(1);
  State state = ClusterOf(4, 1);
  for (const char* node : {"n1", "n2", "n3"}) sources.For(kImage, node, state, kStart);
  std::set<std::uint32_t> places;
  for (const char* node : {"n1", "n2", "n3"}) {
    WhomToAsk answer = sources.For(kImage, node, state, kStart);
    EXPECT_EQ(answer.askers, 3U);
    places.insert(answer.place);
  }
  EXPECT_EQ(places, (std::set<std::uint32_t>{0, 1, 2}));
}

TEST(ImageSources, WhoDoesNotAskAgainIsForgottenAndANodeThatIsDownIsNotNamed) {
  ImageSources sources(1);
  State state = ClusterOf(4, 2);
  sources.For(kImage, "n2", state, kStart);
  state.nodes.at("n0").state = NodeState::kDown;
  auto later = kStart + ImageSources::kFetchingFor + std::chrono::seconds(1);
  EXPECT_EQ(Names(sources.For(kImage, "n3", state, later).holders), (std::set<std::string>{"n1"}));
}

TEST(ImageSources, ManyAskersAreSpreadOverManyGivers) {
  ImageSources sources(1);
  State state = ClusterOf(300, 100);
  std::map<std::string, int> named;
  for (int i = 100; i < 300; ++i) {
    auto holders = sources.For(kImage, Cat("n", i), state, kStart).holders;
    EXPECT_EQ(holders.size(), ImageSources::kHoldersMax);
    for (const ImageHolder& holder : holders) ++named[holder.node];
  }
  EXPECT_GE(named.size(), 100U);
  auto most =
      std::max_element(named.begin(), named.end(), [](auto& a, auto& b) { return a.second < b.second; });
  EXPECT_LE(most->second, 64);  // 32 on average
}

}  // namespace
}  // namespace slipway::scheduler
