// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/terminal.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

TEST(Terminal, SaysTheSizeAndReadsItAgain) {
  auto size = TerminalOf({"A=1", Cat(kTerminalVariable, "=", TerminalText({.rows = 50, .columns = 132}))});
  ASSERT_TRUE(size && *size);
  EXPECT_EQ((*size)->rows, 50);
  EXPECT_EQ((*size)->columns, 132);
}

TEST(Terminal, IsNotWantedWhereNothingSaysSo) { EXPECT_FALSE(TerminalOf({"A=1"}).value().has_value()); }

TEST(Terminal, NamesASizeThatMeansNothing) {
  for (const char* text : {"x", "24", "24x", "x80", "24x80x", "-1x80", "70000x1", "24x80 "}) {
    auto size = TerminalOf({Cat(kTerminalVariable, "=", text)});
    ASSERT_FALSE(size) << text;
    EXPECT_NE(size.error().message.find(text), std::string::npos);
  }
}

}  // namespace
}  // namespace slipway
