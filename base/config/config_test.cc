// SPDX-License-Identifier: Apache-2.0
#include "base/config/config.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

const Settings kSettings = {
    {.key = "controller.listen", .type = Setting::kString, .fallback = "127.0.0.1:6821", .doc = "host:port"},
    {.key = "controller.lifetime",
     .type = Setting::kDuration,
     .fallback = "1h",
     .low = 1,
     .high = 86400,
     .doc = "of a token"},
    {.key = "controller.admins", .type = Setting::kStringList, .doc = "user names"},
    {.key = "agent.cores", .type = Setting::kInteger, .high = 4096, .doc = "cores"},
    {.key = "agent.memory", .type = Setting::kBytes, .doc = "bytes"},
    {.key = "log.json", .type = Setting::kBool, .fallback = "false", .doc = "JSON lines"},
};

TEST(Config, SaysWhereEachValueCameFrom) {
  auto config = Config::Parse(
      kSettings, "[controller]\nlisten = 'a:1'\nadmins = ['ann', 'bob']\n[agent]\nmemory = '2G'\n", "x.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->String("controller.listen"), "a:1");
  EXPECT_EQ(config->Origin("controller.listen"), "x.toml:2:1");
  EXPECT_EQ(config->Origin("controller.lifetime"), "default");
  EXPECT_EQ(config->Seconds("controller.lifetime").count(), 3600);
  EXPECT_EQ(config->Bytes("agent.memory"), 2ull << 30);
  EXPECT_EQ(config->List("controller.admins"), (std::vector<std::string>{"ann", "bob"}));
  EXPECT_FALSE(config->Bool("log.json"));
  EXPECT_EQ(config->Integer("agent.cores"), 0);
  Config copy = *config;
  config = Failure(Error{});
  EXPECT_EQ(copy.String("controller.listen"), "a:1");
}

TEST(Config, NamesTheKeyThatWasMeant) {
  auto config = Config::Parse(kSettings, "[controller]\n\n  lisen = 'a:1'\n", "x.toml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message,
            "x.toml:3:3: unknown key \"controller.lisen\"; did you mean \"controller.listen\"?");
  config = Config::Parse(kSettings, "[agnet]\ncores = 1\n", "x.toml");
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().message.find("unknown table [agnet]; did you mean \"agent\"?"), std::string::npos)
      << config.error().message;
}

TEST(Config, RefusesWrongTypesAndRangesWithTheirPlace) {
  for (auto [toml, part] : {std::pair{"agent.cores = 'x'", "x:1:7: agent.cores must be a whole number"},
                            {"agent.cores = 5000", "agent.cores = 5000 is not between 0 and 4096"},
                            {"agent.cores = -1", "is not between"},
                            {"controller.lifetime = '90'", "has no unit"},
                            {"controller.lifetime = '2d'", "is not between"},
                            {"controller.admins = [1]", "every item must be a string"},
                            {"agent.cores = ", "x:1:"},
                            {"agent = 5", "unknown key"}}) {
    auto config = Config::Parse(kSettings, toml, "x");
    ASSERT_FALSE(config) << toml;
    EXPECT_EQ(config.error().code, Code::kInvalidArgument);
    EXPECT_NE(config.error().message.find(part), std::string::npos) << config.error().message;
  }
}

TEST(Config, LaterFilesWinAndMissingOnesAreSkipped) {
  auto config = Config::Load(kSettings, {"/nonexistent/slipway.toml"});
  ASSERT_TRUE(config);
  EXPECT_NE(config->Show().find("agent.cores = 0  # default"), std::string::npos);
  EXPECT_NE(SettingsReference(kSettings).find("| `log.json` | true or false | `false` | JSON lines |"),
            std::string::npos);
}

TEST(Config, RepeatedTablesAreRowsWithTheirPlaces) {
  const Settings settings = {
      {.key = "a.x", .type = Setting::kInteger, .doc = "x"},
      {.key = "row[].name", .type = Setting::kString, .doc = "name"},
      {.key = "row[].limit", .type = Setting::kDuration, .fallback = "5s", .doc = "limit"},
      {.key = "row[].list", .type = Setting::kStringList, .doc = "list"},
  };
  auto config = Config::Parse(
      settings, "[[row]]\nname = 'one'\nlist = ['a', 'b']\n[[row]]\nname = 'two'\nlimit = '1m'\n", "x.toml");
  ASSERT_TRUE(config) << config.error().message;
  const std::vector<Config::Row>& rows = config->Rows("row");
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].String("name"), "one");
  EXPECT_EQ(rows[0].List("list"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(rows[0].Seconds("limit").count(), 5);
  EXPECT_FALSE(rows[0].Has("limit"));
  EXPECT_EQ(rows[0].Origin("limit"), "x.toml:1:1") << "the row's";
  EXPECT_TRUE(rows[1].Has("limit"));
  EXPECT_EQ(rows[1].Origin("limit"), "x.toml:6:1");
  EXPECT_NE(config->Show().find("[[row]]  # x.toml:4:1\nlimit = 60  # x.toml:6:1"), std::string::npos)
      << config->Show();
  for (auto [toml, words] : {std::pair{"[[row]]\nnam = 'x'\n",
                                       "x.toml:2:1: unknown key \"row[].nam\"; did you mean \"row[].name\"?"},
                             {"[row]\nname = 'x'\n", "write [[row]]"},
                             {"[[a]]\nx = 1\n", "unknown key"},
                             {"[[row]]\nlimit = 'x'\n", "x.toml:2:1: "}}) {
    auto wrong = Config::Parse(settings, toml, "x.toml");
    ASSERT_FALSE(wrong) << toml;
    EXPECT_NE(wrong.error().message.find(words), std::string::npos) << wrong.error().message;
  }
}

}  // namespace
}  // namespace slipway
