// SPDX-License-Identifier: Apache-2.0
#include "base/log/log.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

TEST(Log, OneEventIsOneLineWhateverItHolds) {
  std::string line = FormatLogLine({.program = "slipwayd"}, Level::kWarn, "two\nlines",
                                   {{"path", "a b"}, {"n", 3}, {"q", "x\"y"}});
  EXPECT_EQ(line, R"(level=warn prog=slipwayd msg="two\nlines" path="a b" n=3 q="x\"y")");
  EXPECT_EQ(FormatLogLine({.json = true}, Level::kInfo, "m", {{"k", "v"}}),
            R"("level":"info","msg":"m","k":"v")");
}

}  // namespace
}  // namespace slipway
