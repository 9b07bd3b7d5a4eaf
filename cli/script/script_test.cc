// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/script/array.h"
#include "cli/script/directives.h"
#include "cli/script/image_reference.h"

namespace slipway::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Command kSubmit = {
    .name = "slipway submit",
    .options = {{.name = "image", .type = Option::kString, .value_name = "IMAGE"},
                {.name = "nodes", .letter = 'N', .type = Option::kString, .value_name = "N"},
                {.name = "ntasks", .letter = 'n', .type = Option::kString, .value_name = "N"},
                {.name = "exclusive"}},
    .positionals = {{.name = "SCRIPT", .arity = Positional::kMany}},
    .stop_at_first_positional = true};

TEST(Array, TheTextOfTasksNamesTheSameTasks) {
  for (const char* text : {"0-9", "1-99:2", "3,5,8-9", "7", "0,2,4-6", "1-3,5-9:2,100000"}) {
    auto range = ParseArray(text);
    ASSERT_TRUE(range.has_value()) << text;
    auto again = ParseArray(ArrayText(range->tasks));
    ASSERT_TRUE(again.has_value()) << ArrayText(range->tasks);
    EXPECT_EQ(again->tasks, range->tasks) << text;
  }
  EXPECT_EQ(ArrayText(ParseArray("1-100000")->tasks), "1-100000");
  EXPECT_EQ(ArrayText(ParseArray("1-99:2")->tasks), "1-99:2");
}

TEST(Directives, OfBothNamesAreReadInOrder) {
  auto words = ReadDirectives(
      kSubmit, "#!/bin/sh\n#SLIPWAY --image=mpi\n# a comment\n\n#SBATCH -N 2 -n4 # for now\necho\n",
      "job.sh");
  ASSERT_TRUE(words) << words.error().message;
  EXPECT_THAT(*words, ElementsAre("--image=mpi", "-N", "2", "-n4"));
}

TEST(Directives, EndAtTheFirstCommand) {
  auto words = ReadDirectives(kSubmit, "#!/bin/sh\necho hello\n#SBATCH --nonsense\n", "job.sh");
  ASSERT_TRUE(words);
  EXPECT_TRUE(words->empty());
}

TEST(Directives, LaterLinesWinAndTheCommandLineWinsOverThem) {
  auto words = *ReadDirectives(kSubmit, "#!/bin/sh\n#SBATCH -N 1\n#SBATCH -N 2\n", "job.sh");
  EXPECT_EQ(ParseOptions(kSubmit, words)->Value("nodes"), "2");
  words.insert(words.end(), {"--nodes=3", "job.sh"});
  EXPECT_EQ(ParseOptions(kSubmit, words)->Value("nodes"), "3");
}

TEST(Directives, AnUnknownOneIsNamedWithItsLineAndTheNearest) {
  auto words = ReadDirectives(kSubmit, "#!/bin/sh\n#SBATCH -n1\n#SBATCH --imagee=tiny\n", "job.sh");
  ASSERT_FALSE(words);
  EXPECT_THAT(words.error().message,
              HasSubstr("job.sh:3: unknown option '--imagee', did you mean '--image'?"));
}

TEST(Directives, WordsThatAreNoOptionsAreRefused) {
  EXPECT_EQ(*ReadDirectives(kSubmit,
                            "#!/bin/sh\n#SBATCH -N 1\n#SBATCH hetjob\n#SBATCH -N 2\n#SBATCH packjob\n", "x"),
            (std::vector<std::string>{"-N", "1", ":", "-N", "2", ":"}));
  EXPECT_EQ(ParseJobName("12+3")->job, 15U);
  EXPECT_FALSE(ParseJobName("12+"));
  EXPECT_THAT(ReadDirectives(kSubmit, "#!/bin/sh\n#SBATCH nodes 2\n", "x").error().message,
              HasSubstr("x:2: 'nodes' is no option"));
  EXPECT_THAT(ReadDirectives(kSubmit, "#!/bin/sh\n#SBATCH --image 'a\n", "x").error().message,
              HasSubstr("x:2: a ' has no end"));
}

TEST(Directives, CommentsThatOnlyLookLikeThemAreComments) {
  EXPECT_TRUE(ReadDirectives(kSubmit, "#!/bin/sh\n##SBATCH --off\n# SBATCH --off\n#SBATCHES --off\n", "x"));
}

TEST(Directives, AScriptNamesItsInterpreter) {
  EXPECT_FALSE(ReadDirectives(kSubmit, "echo hello\n", "x"));
  EXPECT_FALSE(ReadDirectives(kSubmit, std::string("#!\0ELF", 6), "x"));
}

TEST(SplitWords, QuotesAsAShellDoes) {
  EXPECT_THAT(*SplitWords(R"( a 'b c' "d \"e\"" f\ g ''  # no)"),
              ElementsAre("a", "b c", "d \"e\"", "f g", ""));
  EXPECT_FALSE(SplitWords("'a"));
}

TEST(Array, NamesEachTaskOnce) {
  EXPECT_THAT(ParseArray("0-3")->tasks, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(ParseArray("1-9:4,5")->tasks, ElementsAre(1, 5, 9));
  EXPECT_EQ(ParseArray("1-100%4")->at_a_time, 4u);
  for (const char* text : {"", "a", "5-1", "1-", "-3", "1-9:0", "1%0", "0-100000", "1,,2"})
    EXPECT_FALSE(ParseArray(text)) << text;
}

TEST(JobName, IsAJobOrATask) {
  EXPECT_EQ(ParseJobName("12")->job, 12u);
  EXPECT_EQ(ParseJobName("12_3")->task, 3u);
  for (const char* text : {"", "0", "a", "12_", "_3", "12.3", "-1"}) EXPECT_FALSE(ParseJobName(text)) << text;
}

TEST(ImageReference, IsAPathWhenMeantOrWhenThere) {
  auto look = [](const std::string& path) {
    if (path == "base/debian" || path == "here.sif") return PathKind::kFile;
    return path == "tree" ? PathKind::kDirectory : PathKind::kNone;
  };
  EXPECT_EQ(KindOfImage("here.sif", look), ImageKind::kFile);
  EXPECT_EQ(KindOfImage("tree", look), ImageKind::kDirectory);
  EXPECT_EQ(KindOfImage("base/debian", look), ImageKind::kFile);
  EXPECT_EQ(KindOfImage("base/debian:12", look), ImageKind::kName);
  EXPECT_EQ(KindOfImage("mpi", look), ImageKind::kName);
  EXPECT_EQ(KindOfImage("sha256:00", look), ImageKind::kName);
  EXPECT_EQ(KindOfImage("./mpi", look), ImageKind::kMissingPath);
  EXPECT_EQ(KindOfImage("/no/such", look), ImageKind::kMissingPath);
  EXPECT_EQ(KindOfImage("gone.sif", look), ImageKind::kMissingPath);
}

}  // namespace
}  // namespace slipway::cli
