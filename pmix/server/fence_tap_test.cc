// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/fence_tap.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

std::string Bytes(std::initializer_list<int> bytes) {
  std::string text;
  for (int byte : bytes) text += static_cast<char>(byte);
  return text;
}
std::string Message(int tag, const std::string& payload) {
  return Bytes({0, 0, 0, 1, 0, 0, 0, tag, 0, 0, 0, static_cast<int>(payload.size()), 0, 0, 0, 0}) + payload;
}
// As libpmix 4.2.2 sends it: count, command, count, how many ranks, count; then names and ranks.
const std::string kOfAll = Bytes({2, 3, 2, 1, 2, 6, 'n', 's', 0, 0xfe, 0xff, 0xff, 0xff, 0x0f, 2, 0});
const std::string kOfTwo = Bytes({2, 3, 2, 2, 4, 6, 'n', 's', 0, 1, 6, 'n', 's', 0, 2, 2, 0});
const std::string kFinalize = Bytes({2, 5});

TEST(RequestStream, FindsTheFencesAmongTheRequestsHoweverTheyAreCut) {
  std::string all = Message(7, kFinalize) + Message(9, kOfAll) + Message(10, "") + Message(11, kOfTwo);
  for (std::size_t piece = 1; piece <= all.size(); ++piece) {
    RequestStream stream;
    std::vector<RequestStream::Fence> fences;
    for (std::size_t at = 0; at < all.size(); at += piece) {
      for (auto& fence : stream.Feed(std::string_view(all).substr(at, piece))) fences.push_back(fence);
    }
    ASSERT_EQ(fences.size(), 2U) << piece;
    EXPECT_EQ(fences[0].tag, 9U);
    ASSERT_EQ(fences[0].ranks.size(), 1U);
    EXPECT_EQ(fences[0].ranks[0].nspace, "ns");
    EXPECT_EQ(fences[0].ranks[0].rank, kAllRanks);
    EXPECT_EQ(fences[1].tag, 11U);
    ASSERT_EQ(fences[1].ranks.size(), 2U);
    EXPECT_EQ(fences[1].ranks[1].rank, 2U);
  }
}

TEST(RequestStream, LeavesAloneWhatItDoesNotUnderstand) {
  for (std::size_t size = 0; size < kOfTwo.size() - 2; ++size)
    EXPECT_FALSE(FenceRanksOf(kOfTwo.substr(0, size)).has_value()) << size;
  // Integers of four bytes each, as PMIx 3 has them.
  EXPECT_FALSE(FenceRanksOf(Bytes({0, 0, 0, 1, 3, 0, 0, 0, 1, 0, 0, 0, 1})).has_value());
  EXPECT_FALSE(
      FenceRanksOf(Bytes({2, 3, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})).has_value());
}

TEST(RequestStream, KeepsLittleOfALongRequest) {
  RequestStream stream;
  std::string header = Bytes({0, 0, 0, 1, 0, 0, 0, 5, 0x7f, 0xff, 0xff, 0xf0, 0, 0, 0, 0});
  EXPECT_TRUE(stream.Feed(header).empty());
  std::string much(1 << 20, 'x');
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(stream.Feed(much).empty());
}

}  // namespace
}  // namespace slipway
