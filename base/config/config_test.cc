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

}  // namespace
}  // namespace slipway
