// SPDX-License-Identifier: Apache-2.0
#include "base/wire/wire.h"

#include <gtest/gtest.h>

#include "base/wire/stream.h"

namespace slipway {
namespace {

struct Inner {
  std::string name;
  std::int32_t number = 0;
};
void Fields(auto& archive, IsA<Inner> auto& v) { archive(v.name, v.number); }

struct Outer {
  std::vector<Inner> items;
  std::optional<std::uint64_t> maybe;
  std::pair<bool, std::string> both;
};
void Fields(auto& archive, IsA<Outer> auto& v) { archive(v.items, v.maybe, v.both); }

Outer Sample() { return {{{"one", -1}, {"", 2}}, 77, {true, std::string("\0x", 2)}}; }

TEST(Wire, WhatIsWrittenIsRead) {
  auto back = Decode<Outer>(Encode(Sample()), "sample");
  ASSERT_TRUE(back);
  ASSERT_EQ(back->items.size(), 2u);
  EXPECT_EQ(back->items[0].name, "one");
  EXPECT_EQ(back->items[0].number, -1);
  EXPECT_EQ(back->maybe, 77u);
  EXPECT_EQ(back->both, Sample().both);
}

TEST(Wire, BytesAreLittleEndianAndCounted) {
  EXPECT_EQ(Encode(Inner{"ab", 1}), std::string("\2\0\0\0ab\1\0\0\0", 10));
}

TEST(Wire, EveryTruncationAndEveryTrailingByteIsRefused) {
  std::string bytes = Encode(Sample());
  for (std::size_t n = 0; n < bytes.size(); ++n)
    EXPECT_FALSE(Decode<Outer>(bytes.substr(0, n), "sample")) << n;
  EXPECT_FALSE(Decode<Outer>(bytes + '\0', "sample"));
}

TEST(Wire, ACountBeyondTheBytesAllocatesNothing) {
  std::string bytes("\xff\xff\xff\xff", 4);
  EXPECT_FALSE(Decode<std::vector<std::string>>(bytes, "list"));
  EXPECT_FALSE(Decode<std::string>(bytes, "text"));
}

TEST(Wire, ABoolIsZeroOrOne) { EXPECT_FALSE(Decode<bool>("\2", "flag")); }

TEST(FrameReader, FramesComeOutWholeHoweverTheyWereCut) {
  std::string stream = WithLength("first") + WithLength("") + WithLength("third");
  FrameReader reader;
  std::vector<std::string> got;
  for (char byte : stream) {
    reader.Feed({&byte, 1});
    for (;;) {
      auto next = reader.Next();
      ASSERT_TRUE(next);
      if (!*next) break;
      got.push_back(**next);
    }
  }
  EXPECT_EQ(got, (std::vector<std::string>{"first", "", "third"}));
}

TEST(FrameReader, ALengthBeyondTheBoundIsRefusedAtOnce) {
  FrameReader reader(8);
  reader.Feed(WithLength("123456789").substr(0, 4));
  EXPECT_FALSE(reader.Next());
}

}  // namespace
}  // namespace slipway
