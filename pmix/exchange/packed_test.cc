// SPDX-License-Identifier: Apache-2.0
#include "pmix/exchange/packed.h"

#include <gtest/gtest.h>

#include <random>

#include "base/wire/wire.h"

namespace slipway {
namespace {

constexpr std::size_t kMax = 1 << 20;

// As ranks of one program say it: words that repeat around numbers that do not.
std::string OfRanks(int count) {
  std::string all;
  std::mt19937 numbers(7);
  for (int rank = 0; rank < count; ++rank) all += Cat("btl.tcp.4.1=10.0.0.", rank, ":", numbers(), ";");
  return all;
}
std::string Noise(std::size_t bytes) {
  std::mt19937 numbers(7);
  std::string noise(bytes, 0);
  for (char& byte : noise) byte = static_cast<char>(numbers());
  return noise;
}
// The plain data, or the error behind "!".
std::string Unpacked(std::string_view packed, std::size_t max = kMax) {
  std::string out = "before";
  auto done = Unpack(packed, max, out);
  EXPECT_TRUE(done || out == "before");
  return done ? out.substr(6) : "!" + done.error().message;
}
bool IsRefused(std::string_view packed, std::size_t max = kMax) { return Unpacked(packed, max)[0] == '!'; }
std::string Bomb(std::uint32_t claimed, std::size_t bytes) {
  return '\1' + Encode(claimed) + std::string(bytes, '\xff');
}

TEST(PackedData, ComesBackAsItWas) {
  for (int ranks : {0, 1, 16, 64, 1000}) {
    std::string plain = OfRanks(ranks), packed = Pack(plain);
    EXPECT_EQ(*PlainBytes(packed), plain.size());
    EXPECT_EQ(Unpacked(packed), plain);
  }
}

TEST(PackedData, OfManyRanksIsSmaller) { EXPECT_LT(Pack(OfRanks(64)).size(), OfRanks(64).size() * 2 / 3); }

TEST(PackedData, OfLittleIsCarriedAsItIs) {
  EXPECT_EQ(Pack(""), "");
  std::string just_not(kPackFromBytes - 1, 'x');
  EXPECT_EQ(Pack(just_not), std::string(1, '\0') + just_not);
  EXPECT_LT(Pack(just_not + 'x').size(), 50U);
}

TEST(PackedData, ThatDoesNotGetSmallerIsCarriedAsItIs) {
  EXPECT_EQ(Pack(Noise(5000)), std::string(1, '\0') + Noise(5000));
  EXPECT_EQ(Unpacked(Pack(Noise(5000))), Noise(5000));
}

TEST(PackedData, OfMoreThanIsAllowedIsRefused) {
  EXPECT_EQ(Unpacked(Pack(std::string(1000, 'x')), 1000), std::string(1000, 'x'));
  EXPECT_TRUE(IsRefused(Pack(std::string(1001, 'x')), 1000));
  EXPECT_TRUE(IsRefused(Pack(Noise(1001)), 1000));
}

TEST(PackedData, ThatClaimsMoreThanItCanBecomeIsRefusedByItsHead) {
  EXPECT_FALSE(PlainBytes(Bomb(UINT32_MAX, 100)));
  EXPECT_FALSE(PlainBytes(Bomb(25501, 100)));
  EXPECT_TRUE(PlainBytes(Bomb(25500, 100)));
  EXPECT_TRUE(IsRefused(Bomb(25500, 100)));  // and what may be is tried
}

TEST(PackedData, CutAnywhereIsRefused) {
  std::string packed = Pack(OfRanks(64));
  for (std::size_t bytes = 1; bytes < packed.size(); ++bytes)
    ASSERT_TRUE(IsRefused(packed.substr(0, bytes))) << bytes;
}

TEST(PackedData, ThatBecomesMoreOrLessThanItSaysIsRefused) {
  std::string packed = Pack(OfRanks(64));
  auto bytes = static_cast<std::uint32_t>(OfRanks(64).size());
  for (std::uint32_t claimed : {bytes - 1, bytes + 1})
    EXPECT_TRUE(IsRefused('\1' + Encode(claimed) + packed.substr(5))) << claimed;
  EXPECT_TRUE(IsRefused(packed + 'x'));
}

TEST(PackedData, OfNoKnownKindIsRefused) { EXPECT_TRUE(IsRefused("\2data")); }

}  // namespace
}  // namespace slipway
