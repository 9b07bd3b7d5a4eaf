// SPDX-License-Identifier: Apache-2.0
#include "cli/habits/format.h"

#include <gtest/gtest.h>

namespace slipway::cli {
namespace {

int Letter(char letter) { return letter == 'i' ? 0 : letter == 'T' ? 1 : -1; }
int Name(std::string_view name) { return name == "id" ? 0 : name == "state" ? 1 : -1; }
std::string Shown(int field) { return field == 0 ? "12_3" : "RUNNING"; }
unsigned Usual(int field) { return field == 0 ? 6 : 4; }

TEST(Format, LettersStandAmongOtherText) {
  EXPECT_EQ(Line(*ParseLetters("%i|%T", Letter), Shown), "12_3|RUNNING\n");
  EXPECT_EQ(Line(*ParseLetters("%.6i %3T 100%%", Letter), Shown), "  12_3 RUN 100%\n");
  EXPECT_EQ(Line(*ParseLetters("%10T.", Letter), Shown), "RUNNING   .\n");
}

TEST(Format, AnUnknownColumnIsNamed) {
  for (const char* text : {"%i %Q", "%", "%5", "%99999i"}) EXPECT_FALSE(ParseLetters(text, Letter)) << text;
  EXPECT_NE(ParseLetters("%i %.5Q", Letter).error().message.find("%.5Q"), std::string::npos);
  EXPECT_FALSE(ParseNames("id,what", Name));
  EXPECT_FALSE(ParseNames("id:x", Name));
  EXPECT_FALSE(ParseTable("what", Name, Usual));
}

TEST(Format, NamesHaveWidths) {
  EXPECT_EQ(Line(*ParseNames("id:6,state:.9", Name), Shown), "12_3    RUNNING\n");
  EXPECT_EQ(Line(*ParseNames("id", Name), Shown), "12_3" + std::string(16, ' ') + "\n");
}

TEST(Format, TablesAreForPeopleOrForPrograms) {
  Format format = *ParseTable("id,state", Name, Usual);
  EXPECT_EQ(TableLine(format, {}, Shown), "  12_3 RUNNING \n")
      << "a state is never cut unless it is asked for";
  EXPECT_EQ(TableHead(format, {}, Shown), "  12_3 RUNNING \n------ ---- \n");
  EXPECT_EQ(TableLine(format, {.delimiter = '|'}, Shown), "12_3|RUNNING\n");
  EXPECT_EQ(TableLine(format, {.delimiter = '|', .trailing = true}, Shown), "12_3|RUNNING|\n");
  EXPECT_EQ(TableLine(*ParseTable("state%3,id%-6", Name, Usual), {}, Shown), "RUN 12_3   \n");
  EXPECT_EQ(TableHead(format, {.header = false}, Shown), "");
}

TEST(Format, WidthsCountCharacters) {
  auto accents = [](int) { return std::string("éé"); };
  EXPECT_EQ(Line(*ParseLetters("%4i|%1i|", Letter), accents), "éé  |é|\n");
}

}  // namespace
}  // namespace slipway::cli
