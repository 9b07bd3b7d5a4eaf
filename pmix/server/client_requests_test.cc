// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/client_requests.h"

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
    std::vector<RequestStream::Request> requests;
    for (std::size_t at = 0; at < all.size(); at += piece) {
      for (auto& request : stream.Feed(std::string_view(all).substr(at, piece))) requests.push_back(request);
    }
    ASSERT_EQ(requests.size(), 4U) << piece;
    EXPECT_FALSE(FenceRanksOf(requests[0].head) || FenceRanksOf(requests[2].head));
    auto of_all = FenceRanksOf(requests[1].head), of_two = FenceRanksOf(requests[3].head);
    EXPECT_EQ(requests[1].tag, 9U);
    ASSERT_TRUE(of_all && of_all->size() == 1);
    EXPECT_EQ((*of_all)[0].nspace, "ns");
    EXPECT_EQ((*of_all)[0].rank, kAllRanks);
    EXPECT_EQ(requests[3].tag, 11U);
    ASSERT_TRUE(of_two && of_two->size() == 2);
    EXPECT_EQ((*of_two)[1].rank, 2U);
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

TEST(GroupReply, IsGivenTheMembersThatTheRequestNamed) {
  std::string members = Bytes({2, 2, 4, 6, 'n', 's', 0, 1, 6, 'n', 's', 0, 2});
  std::string request = Bytes({2, 24, 2, 4, 'g', 0}) + members + Bytes({2, 0});
  ASSERT_EQ(GroupMembersOf(request), members);
  EXPECT_FALSE(GroupMembersOf(kOfTwo).has_value());
  std::string message = Message(5, Bytes({2, 0, 2, 7}));  // success, and the context's number
  auto mended = WithGroupMembers(message.substr(0, 16), message.substr(16), members);
  EXPECT_EQ(mended, Message(5, Bytes({2, 0}) + members + Bytes({2, 7})));
  std::string failed = Message(5, Bytes({2, 47, 2, 7}));
  EXPECT_FALSE(WithGroupMembers(failed.substr(0, 16), failed.substr(16), members).has_value());
}

TEST(GroupEnd, HasTheMembersLast) {
  std::string start = Bytes({2, 28, 2, 4, 'g', 0}), members = Bytes({2, 1, 2, 6, 'n', 's', 0, 1});
  std::string request = start + members + Bytes({2, 0});
  PutGroupMembersLast(request.data(), request.size());
  EXPECT_EQ(request, start + Bytes({2, 0}) + members);
  std::string other = kOfTwo;
  PutGroupMembersLast(other.data(), other.size());
  EXPECT_EQ(other, kOfTwo);
  for (std::size_t size = 0; size < start.size() + members.size(); ++size) {
    std::string cut = (start + members).substr(0, size), same = cut;
    PutGroupMembersLast(cut.data(), cut.size());
    EXPECT_EQ(cut, same) << size;
  }
}

TEST(PmixRelease, IsFoundInWhatLibrariesSayOfThemselves) {
  EXPECT_EQ(ReleaseIn("OpenPMIx 4.2.2rc2, repo rev: gitg"), (PmixRelease{4, 2, 2}));
  EXPECT_FALSE(ReleaseIn("at 10.1.2.3").has_value());
  EXPECT_FALSE(ReleaseIn("4.2").has_value());
  for (int rank : {0, 1, 53, 46, 0xff}) {
    std::string greeting =
        "native" + Bytes({0, 0, 0, 0, 1}) + "slipway.7.1.0.562" + Bytes({0, 0, 0, 0, rank}) + "4.2.2";
    EXPECT_EQ(ReleaseOfGreeting(greeting + Bytes({0}) + "v41"), (PmixRelease{4, 2, 2})) << rank;
  }
  EXPECT_FALSE(ReleaseOfGreeting("4.2.2").has_value());
  EXPECT_LT((PmixRelease{4, 2, 2}), kGroupsNameMembers);
}

}  // namespace
}  // namespace slipway
