// SPDX-License-Identifier: Apache-2.0
#include "cli/options/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace slipway::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Command Exec() {
  return {
      .name = "slipway exec",
      .summary = "run a command in a container",
      .examples = {{"slipway exec lolcow.sif cowsay moo",
                    "one command, the home directory and the working directory are there"}},
      .options =
          {{.name = "bind",
            .letter = 'B',
            .type = Option::kList,
            .value_name = "SRC[:DEST[:ro]]",
            .help = "make a path of the host visible",
            .complete = "file"},
           {.name = "hostname", .type = Option::kString, .value_name = "NAME", .help = "host name inside"},
           {.name = "cleanenv", .letter = 'e', .help = "start with a clean environment"},
           {.name = "verbose", .letter = 'v', .type = Option::kCount, .help = "say more"},
           {.name = "format", .type = Option::kString, .value_name = "FORMAT", .complete = "json|text"}},
      .positionals = {{"IMAGE", Positional::kOne, "file or directory", "image"},
                      {"COMMAND", Positional::kMany}},
      .stop_at_first_positional = true,
  };
}

Result<Parsed> Parse(std::vector<std::string> arguments) { return ParseOptions(Exec(), arguments); }

TEST(Options, TakeEverySpelling) {
  Parsed parsed = *Parse({"-B/a", "-B", "/b:/c", "--bind=/d", "--bind", "/e", "-evv", "--verbose", "img"});
  EXPECT_THAT(parsed.List("bind"), ElementsAre("/a", "/b:/c", "/d", "/e"));
  EXPECT_TRUE(parsed.Has("cleanenv"));
  EXPECT_EQ(parsed.Count("verbose"), 3u);
  EXPECT_FALSE(parsed.Has("hostname"));
  EXPECT_EQ(parsed.Value("hostname", "none"), "none");
}

TEST(Options, LastValueWins) {
  EXPECT_EQ(Parse({"--hostname", "a", "--hostname=b", "img"})->Value("hostname"), "b");
}

TEST(Options, LeaveTheCommandOfTheContainerAlone) {
  Parsed parsed = *Parse({"-e", "img", "ls", "-B", "--help", "--", "x"});
  EXPECT_THAT(parsed.positionals(), ElementsAre("img", "ls", "-B", "--help", "--", "x"));
  EXPECT_FALSE(parsed.help());
}

TEST(Options, EndAtTheDoubleDash) {
  Command command = Exec();
  command.stop_at_first_positional = false;
  Parsed parsed = *ParseOptions(command, {"img", "-e", "--", "-v"});
  EXPECT_TRUE(parsed.Has("cleanenv"));
  EXPECT_THAT(parsed.positionals(), ElementsAre("img", "-v"));
  EXPECT_THAT(Parse({"--", "-img"})->positionals(), ElementsAre("-img"));
}

TEST(Options, SuggestTheNearestForAnUnknownOne) {
  EXPECT_THAT(Parse({"--bnid=/a", "img"}).error().message, HasSubstr("did you mean '--bind'?"));
  EXPECT_THAT(Parse({"--xyzzy", "img"}).error().message, HasSubstr("slipway exec --help"));
  EXPECT_THAT(Parse({"-z", "img"}).error().message, HasSubstr("'-z'"));
}

TEST(Options, SayWhatIsMissing) {
  EXPECT_THAT(Parse({}).error().message, HasSubstr("no IMAGE given"));
  EXPECT_THAT(Parse({"--bind"}).error().message, HasSubstr("SRC[:DEST[:ro]]"));
  EXPECT_THAT(Parse({"--cleanenv=yes", "img"}).error().message, HasSubstr("takes no value"));
  Command command = Exec();
  command.positionals.pop_back();
  EXPECT_THAT(ParseOptions(command, {"img", "more"}).error().message, HasSubstr("one argument too many"));
}

TEST(ForeignOptions, AreTakenHiddenAndAnsweredEachInItsWay) {
  constexpr ForeignOption kForeign[] = {
      {"calm", 'c', Option::kFlag, nullptr, Option::kNothing, "it is so anyway"},
      {"loud", 0, Option::kString, "LOUD", Option::kWarn, "it is never loud"},
      {"moon", 0, Option::kFlag, nullptr, Option::kRefuse, "go there yourself"}};
  Command command = Exec();
  for (Option& option : HiddenOptions(kForeign)) command.options.push_back(std::move(option));
  EXPECT_THAT(HelpText(command), Not(HasSubstr("--calm")));
  EXPECT_THAT(*JudgeForeignOptions(command, *ParseOptions(command, {"-ce", "img"})), IsEmpty());
  EXPECT_THAT(*JudgeForeignOptions(command, *ParseOptions(command, {"--loud=1", "img"})),
              ElementsAre("warning: --loud changes nothing: it is never loud"));
  auto refused = JudgeForeignOptions(command, *ParseOptions(command, {"--moon", "img"}));
  EXPECT_EQ(refused.error().message, "slipway exec: --moon cannot be had: go there yourself");
  Parsed none = *ParseOptions(command, {"img"});
  ASSERT_TRUE(TakeFromEnvironment(command, {"APPTAINER_"}, {"APPTAINER_LOUD=9"}, none));
  EXPECT_EQ(none.Value("loud"), "9");
}

TEST(Options, HelpNeedsNoArguments) { EXPECT_TRUE(Parse({"--help"})->help()); }

TEST(Help, ShowsExamplesFirst) {
  std::string help = HelpText(Exec(), 80);
  EXPECT_LT(help.find("cowsay"), help.find("usage:"));
  EXPECT_THAT(help, HasSubstr("-B, --bind SRC[:DEST[:ro]]"));
  EXPECT_THAT(help, HasSubstr("usage: slipway exec [OPTION...] IMAGE [COMMAND...]"));
}

TEST(Completion, NamesCommandsAndOptions) {
  std::string script = BashCompletion("slipway", {Exec()});
  EXPECT_THAT(script, HasSubstr("--bind|-B) COMPREPLY=($(compgen -f"));
  EXPECT_THAT(script, HasSubstr("compgen -W \"json text\""));
  EXPECT_THAT(script, HasSubstr("complete -o filenames -F _slipway slipway"));
}

}  // namespace
}  // namespace slipway::cli
