// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/remote/attach.h"
#include "cli/remote/components.h"
#include "cli/remote/job_options.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/subcommand.h"

namespace slipway::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<v1::Resources> Resources(const std::vector<std::string>& words) {
  return ResourcesOf(*ParseOptions({.name = "slipway x", .options = ResourceOptions()}, words));
}

TEST(Resources, AreWhatSlurmsUsersWrite) {
  auto r = Resources({"-N", "2-4", "-n8", "-c", "2", "--mem=2G", "-t", "1-00:00:00", "--exclusive"});
  ASSERT_TRUE(r) << r.error().message;
  EXPECT_EQ(r->nodes_min(), 2u);
  EXPECT_EQ(r->nodes_max(), 4u);
  EXPECT_EQ(r->tasks(), 8u);
  EXPECT_EQ(r->cores_per_task(), 2u);
  EXPECT_EQ(r->memory_bytes_per_node(), 2ULL << 30);
  EXPECT_EQ(r->time_limit_s(), 86400u);
  EXPECT_TRUE(r->exclusive());
}

TEST(Resources, AWrongValueNamesItsOption) {
  EXPECT_THAT(Resources({"-n", "many"}).error().message, HasSubstr("--ntasks"));
  EXPECT_THAT(Resources({"-N", "4-2"}).error().message, HasSubstr("--nodes"));
  EXPECT_THAT(Resources({"--mem=x"}).error().message, HasSubstr("--mem"));
  EXPECT_THAT(Resources({"-t", "x"}).error().message, HasSubstr("--time"));
  EXPECT_FALSE(Resources({"-n", "0"}));
}

TEST(Environment, TheHostsPathStaysOutsideUnlessItIsAskedFor) {
  std::vector<std::string> own = {"PATH=/opt/bin", "A=1", "LD_PRELOAD=x.so", "B=2"};
  EXPECT_THAT(*ExportedEnvironment(own, "", false), ElementsAre("A=1", "B=2"));
  EXPECT_THAT(*ExportedEnvironment(own, "NONE", false), ElementsAre());
  EXPECT_THAT(*ExportedEnvironment(own, "ALL,PATH,B=3", false), ElementsAre("A=1", "PATH=/opt/bin", "B=3"));
  EXPECT_THAT(*ExportedEnvironment(own, "A", false), ElementsAre("A=1"));
  EXPECT_THAT(*ExportedEnvironment(own, "", true), testing::Contains("PATH=/opt/bin"));
}

TEST(Begin, IsADelayOrAMoment) {
  EXPECT_EQ(*ParseMoment("now+2hours", 1000, "--begin"), 1000 + 7200 * 1000);
  EXPECT_EQ(*ParseMoment("now+90", 0, "--begin"), 90 * 1000);
  EXPECT_TRUE(ParseMoment("2026-11-23T16:30", 0, "--begin"));
  EXPECT_FALSE(ParseMoment("tomorrow-ish", 0, "--begin"));
  std::int64_t now = 1'700'000'000'000;
  EXPECT_GE(*ParseMoment("00:00", now, "--begin"), now - 60'000);
}

Command LaunchLike() {
  return {.name = "slipway launch",
          .options = ResourceOptions(),
          .positionals = {{.name = "COMMAND", .arity = Positional::kOne},
                          {.name = "ARG", .arity = Positional::kMany}},
          .stop_at_first_positional = true};
}

Result<std::vector<Parsed>> Programs(const std::vector<std::string>& words) {
  return ProgramsGiven(LaunchLike(), *ParseOptions(LaunchLike(), words));
}

TEST(Components, AColonBetweenProgramsMakesThemComponentsOfOneJob) {
  auto all =
      Programs({"-n1", "--image=x", "-t5", "--", "a", "-v", ":", "-N2", "--image", "y", "b", ":", "c"});
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->size(), 3U);
  EXPECT_THAT((*all)[0].positionals(), ElementsAre("a", "-v"));
  EXPECT_THAT((*all)[1].positionals(), ElementsAre("b"));
  EXPECT_THAT((*all)[2].positionals(), ElementsAre("c"));
  EXPECT_EQ((*all)[1].Value("image"), "y");
  EXPECT_EQ((*all)[2].Value("image"), "y") << "from the one before";
  EXPECT_EQ((*all)[2].Value("time"), "5");
  EXPECT_FALSE((*all)[1].Has("ntasks")) << "resources are each one's own";
}

TEST(Components, AProgramsOwnLastColonIsItsOwnAndOneWithoutAProgramIsRefused) {
  auto one = Programs({"-n1", "sh", "-c", ":"});
  ASSERT_TRUE(one);
  ASSERT_EQ(one->size(), 1U);
  EXPECT_THAT(one->front().positionals(), ElementsAre("sh", "-c", ":"));
  auto none = Programs({"-n1", "a", ":", "-n2", ":", "b"});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("component 1: slipway launch: no COMMAND given"));
  EXPECT_THAT(Programs({"a", ":", "-z", "b"}).error().message, HasSubstr("unknown option '-z'"));
  EXPECT_FALSE(Programs({"a", ":", "--help"}));
}

TEST(Label, NamesTheComponentToo) {
  LineLabeller labeller("1.");
  EXPECT_EQ(labeller.Take(3, 1, "a\nb"), "1.3: a\n");
  EXPECT_EQ(labeller.Flush(1), "1.3: b\n");
}

TEST(Label, StandsBeforeWholeLinesOnly) {
  LineLabeller labeller;
  EXPECT_EQ(labeller.Take(0, 1, "he"), "");
  EXPECT_EQ(labeller.Take(1, 1, "a\nb\n"), "1: a\n1: b\n");
  EXPECT_EQ(labeller.Take(0, 1, "llo\nx"), "0: hello\n");
  EXPECT_EQ(labeller.Flush(1), "0: x\n");
  EXPECT_EQ(labeller.Flush(1), "");
}

TEST(ExitCode, OfAJobThatDidNotCompleteIsNeverZero) {
  v1::Job job;
  job.set_state(v1::JOB_STATE_COMPLETED);
  EXPECT_EQ(ExitCodeOf(job), 0);
  job.set_state(v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(ExitCodeOf(job), 1);
  job.set_exit_code(9);
  EXPECT_EQ(ExitCodeOf(job), 9);
}

TEST(Subcommands, HaveExamplesAndParseTheirOwnHelp) {
  for (const Subcommand* subcommand : AllSubcommands()) {
    Command command = subcommand->declare();
    EXPECT_TRUE(subcommand->hidden || !command.examples.empty()) << command.name;
    auto parsed = ParseOptions(command, {"--help"});
    ASSERT_TRUE(parsed) << command.name;
    EXPECT_TRUE(parsed->help());
  }
}

}  // namespace
}  // namespace slipway::cli
