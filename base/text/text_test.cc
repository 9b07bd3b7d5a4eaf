// SPDX-License-Identifier: Apache-2.0
#include "base/text/text.h"

#include <gtest/gtest.h>

#include "base/text/hostlist.h"
#include "base/text/shell.h"
#include "base/text/units.h"

namespace slipway {
namespace {

using std::chrono::seconds;

TEST(Text, TrimsAndSplitsAndJoins) {
  EXPECT_EQ(Trim(" \ta b\r\n"), "a b");
  EXPECT_EQ(Trim("  "), "");
  EXPECT_EQ(Split("", ','), (std::vector<std::string>{""}));
  EXPECT_EQ(Split("a,,b,", ','), (std::vector<std::string>{"a", "", "b", ""}));
  EXPECT_EQ(Join({"a", "b"}, ", "), "a, b");
}

TEST(NearestWord, FindsTheSlipOfAFinger) {
  std::vector<std::string> known = {"--bind", "--env", "--cleanenv"};
  EXPECT_EQ(NearestWord("--bnid", known), "--bind");
  EXPECT_EQ(NearestWord("--evn", known), "--env");
  EXPECT_EQ(NearestWord("--something", known), "");
  EXPECT_EQ(NearestWord("ab", {"cd"}), "");
}

TEST(Bytes, AreReadAsSlurmReadsThem) {
  EXPECT_EQ(*ParseBytes("512"), 512u);
  EXPECT_EQ(*ParseBytes("512", 1 << 20), 512ull << 20);
  EXPECT_EQ(*ParseBytes("2G", 1 << 20), 2ull << 30);
  EXPECT_EQ(*ParseBytes("1.5T"), 3ull << 39);
  EXPECT_EQ(*ParseBytes("64kib"), 65536u);
  EXPECT_EQ(*ParseBytes("10MB"), 10u << 20);
  for (const char* bad : {"", "G", "1..5G", "-1", "1X", "1.5.5G", "1 G", "0x10", "1Gi"})
    EXPECT_FALSE(ParseBytes(bad)) << bad;
  EXPECT_EQ(ParseBytes("99999999999E").error().code, Code::kOutOfRange);
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(3ull << 29), "1.5 GiB");
  EXPECT_EQ(FormatBytes(2ull << 30), "2 GiB");
}

TEST(TimeLimit, AreReadAsSlurmReadsThem) {
  EXPECT_EQ(*ParseTimeLimit("90"), seconds(5400));
  EXPECT_EQ(*ParseTimeLimit("1:30"), seconds(90));
  EXPECT_EQ(*ParseTimeLimit("1:00:05"), seconds(3605));
  EXPECT_EQ(*ParseTimeLimit("1-02"), seconds(93600));
  EXPECT_EQ(*ParseTimeLimit("1-02:30"), seconds(95400));
  EXPECT_EQ(*ParseTimeLimit("1-02:30:05"), seconds(95405));
  EXPECT_EQ(*ParseTimeLimit("90s"), seconds(90));
  EXPECT_EQ(*ParseTimeLimit("3d"), seconds(259200));
  EXPECT_EQ(*ParseTimeLimit("UNLIMITED"), seconds::max());
  for (const char* bad : {"", "x", "1:2:3:4", "1-", "-1", "1h30", "99999999999999999999"})
    EXPECT_FALSE(ParseTimeLimit(bad)) << bad;
  EXPECT_EQ(FormatTimeLimit(seconds(95400)), "1-02:30:00");
  EXPECT_EQ(FormatTimeLimit(seconds(61)), "00:01:01");
}

TEST(Time, IsWrittenInUtcWithMilliseconds) {
  EXPECT_EQ(FormatTime(std::chrono::system_clock::time_point(std::chrono::milliseconds(1795404990125))),
            "2026-11-23T03:36:30.125Z");
}

TEST(Hostlist, ExpandsInOrder) {
  EXPECT_EQ(*ExpandHostlist("n[1-3,5,008]"), (std::vector<std::string>{"n1", "n2", "n3", "n5", "n008"}));
  EXPECT_EQ(*ExpandHostlist("a,r[0-1]n[09-10]x"),
            (std::vector<std::string>{"a", "r0n09x", "r0n10x", "r1n09x", "r1n10x"}));
  EXPECT_TRUE(ExpandHostlist("")->empty());
}

TEST(Hostlist, SaysWhereItIsMalformed) {
  for (const char* bad : {"n[", "n]", "n[]", "n[3-1]", "n[a]", "a,,b", ",", "n[1-]", "n[1", "a b", "n[1,]"}) {
    auto names = ExpandHostlist(bad);
    ASSERT_FALSE(names) << bad;
    EXPECT_NE(names.error().message.find("at character"), std::string::npos) << bad;
  }
}

TEST(Hostlist, RefusesTooManyBeforeItMakesThem) {
  EXPECT_EQ(ExpandHostlist("n[0-999999999999999999]").error().code, Code::kOutOfRange);
  EXPECT_EQ(ExpandHostlist("n[0-999][0-999][0-999][0-999][0-999][0-999][0-999]").error().code,
            Code::kOutOfRange);
  EXPECT_EQ(ExpandHostlist("a,b,c", 2).error().code, Code::kOutOfRange);
}

TEST(Hostlist, CompressesToWhatExpandsToTheSame) {
  for (std::vector<std::string> names : std::vector<std::vector<std::string>>{{"n1", "n2", "n3"},
                                                                              {"n1"},
                                                                              {"login", "n8", "n9", "n10"},
                                                                              {"n08", "n9"},
                                                                              {"n3", "n1"},
                                                                              {"a1-ib", "a2-ib", "a2"},
                                                                              {"r1n1", "r1n2", "r2n1"},
                                                                              {}}) {
    EXPECT_EQ(*ExpandHostlist(CompressHostlist(names)), names) << CompressHostlist(names);
  }
  EXPECT_EQ(CompressHostlist(std::vector<std::string>{"n1", "n2", "n3"}), "n[1-3]");
  EXPECT_EQ(CompressHostlist(std::vector<std::string>{"n9", "n10"}), "n[9-10]");
}

TEST(Printable, IsOneLineThatMovesNothingOnATerminal) {
  EXPECT_EQ(Printable("a b\n\x1b[2J\x7f\t\r\x01"), "a b\\n\\x1b[2J\\x7f\\t\\r\\x01");
  EXPECT_EQ(Printable("grüße \xff"), "grüße \xff");
  EXPECT_EQ(Printable(""), "");
}

TEST(ShellQuoted, IsOneWordWhateverIsInIt) {
  EXPECT_EQ(ShellQuoted("a b"), "'a b'");
  EXPECT_EQ(ShellQuoted("it's $HOME"), "'it'\\''s $HOME'");
  EXPECT_EQ(ShellQuoted(""), "''");
}

}  // namespace
}  // namespace slipway
