// SPDX-License-Identifier: Apache-2.0
// What a site's programs may do, and what becomes of one that crashes, hangs or talks nonsense.
#include "scheduler/server/site_hooks.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <future>

#include "scheduler/server/site_program.h"

namespace slipway::scheduler {
namespace {

using std::chrono::milliseconds;

struct HooksTest : ::testing::Test {
  std::string folder;
  HooksTest() {
    ::signal(SIGPIPE, SIG_IGN);  // as slipwayd does
    char name[] = "/tmp/slipway-hooks-XXXXXX";
    folder = ::mkdtemp(name);
  }
  ~HooksTest() override {
    for (const std::string& file : made) ::unlink(file.c_str());
    ::rmdir(folder.c_str());
  }
  std::vector<std::string> made;
  std::string Program(const std::string& body) {
    std::string path = Cat(folder, "/hook", made.size());
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    ::chmod(path.c_str(), 0700);
    made.push_back(path);
    return path;
  }
  static Result<v1::JobSpec> Ask(HookRules rules) {
    return TRY(AskAbout({"batch"}, std::move(rules))).front();
  }
  // A component in each of these partitions.
  static Result<std::vector<v1::JobSpec>> AskAbout(const std::vector<std::string>& partitions,
                                                   HookRules rules) {
    SiteHooks hooks(std::move(rules));
    std::vector<v1::HookQuestion> questions;
    for (const std::string& partition : partitions) {
      v1::HookQuestion& question = questions.emplace_back();
      question.set_user("alice");
      question.set_uid(20001);
      question.mutable_spec()->set_name("work");
      question.mutable_spec()->mutable_resources()->set_partition(partition);
    }
    std::promise<Result<std::vector<v1::JobSpec>>> answered;
    hooks.Ask(std::move(questions), [&](auto specs) { answered.set_value(std::move(specs)); });
    return answered.get_future().get();
  }
};

TEST_F(HooksTest, AFilterSeesTheSubmissionAndChangesIt) {
  std::string filter = Program("sed 's/.*\\(\"spec\".*\\)/{\\1/; s/\"batch\"/\"debug\"/'");
  auto spec = Ask({.submit_filter = filter});
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  EXPECT_EQ(spec->resources().partition(), "debug");
  EXPECT_EQ(spec->name(), "work");
}

TEST_F(HooksTest, AFilterRefusesWithItsOwnWords) {
  auto spec = Ask({.submit_filter = Program("echo '{\"refuse\": \"name an account\"}'")});
  ASSERT_FALSE(spec.has_value());
  EXPECT_EQ(spec.error().message, "refused by the site: name an account");
}

TEST_F(HooksTest, EachComponentOfAHeterogeneousJobIsAskedAboutAndOneRefusalRefusesAll) {
  std::string filter =
      Program("sed 's/.*\\(\"spec\".*\\)/{\\1/; s/,\"component.*/}/; s/\"batch\"/\"debug\"/'");
  auto specs = AskAbout({"batch", "gpu", "batch"}, {.submit_filter = filter});
  ASSERT_TRUE(specs.has_value()) << specs.error().message;
  ASSERT_EQ(specs->size(), 3U);
  EXPECT_EQ((*specs)[0].resources().partition(), "debug");
  EXPECT_EQ((*specs)[1].resources().partition(), "gpu");
  EXPECT_EQ((*specs)[2].resources().partition(), "debug");
  std::string refuses = Program(
      "if grep -q '\"component\":1,\"components\":2'; then echo '{\"refuse\": \"no GPUs today\"}'; fi");
  auto refused = AskAbout({"batch", "gpu"}, {.submit_filter = refuses});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message, "component 1: refused by the site: no GPUs today");
}

TEST_F(HooksTest, AFilterThatSaysNothingLetsItPass) {
  auto spec = Ask({.submit_filter = Program("cat > /dev/null")});
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  EXPECT_EQ(spec->resources().partition(), "batch");
}

TEST_F(HooksTest, APriorityProgramGivesAPriorityAndCannotChangeAnythingElse) {
  auto spec = Ask(
      {.priority = Program("echo '{\"priority\": 42, \"refuse\": \"no\", \"spec\": {\"name\": \"x\"}}'")});
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  EXPECT_EQ(spec->priority(), 42U);
  EXPECT_EQ(spec->name(), "work");
}

TEST_F(HooksTest, WhatFailsRefusesWithThatAndIsPassedOverWhereTheSiteSaysSo) {
  const std::pair<std::string, std::string> kBad[] = {
      {Program("exit 3"), "ended with code 3"},
      {Program("kill -SEGV $$"), "signal 11"},
      {Program("echo nonsense"), "bad answer"},
      {Program("echo '{\"surprise\": 1}'"), "bad answer"},
      {Program("echo '{\"priority\": 99999999}'"), "bad answer"},
      {Program("head -c 2000000 /dev/zero"), "more than"},
      {folder + "/nosuch", "nosuch"}};
  for (const auto& [program, says] : kBad) {
    auto spec = Ask({.submit_filter = program});
    ASSERT_FALSE(spec.has_value()) << program;
    EXPECT_NE(spec.error().message.find(says), std::string::npos) << spec.error().message;
    EXPECT_TRUE(Ask({.submit_filter = program, .failure_refuses = false}).has_value()) << says;
  }
}

TEST_F(HooksTest, AProgramThatHangsIsKilledAtItsDeadlineWithAllThatItStarted) {
  std::string note = folder + "/pid";
  made.push_back(note);
  std::string hangs = Program(Cat("sleep 600 & echo $! > ", note, "; wait"));
  auto spec = Ask({.submit_filter = hangs, .deadline = milliseconds(300)});
  ASSERT_FALSE(spec.has_value());
  EXPECT_NE(spec.error().message.find("in time"), std::string::npos) << spec.error().message;
  pid_t sleeps = 0;
  std::ifstream(note) >> sleeps;
  ASSERT_GT(sleeps, 0);
  // Killed; its new parent may not have collected it yet.
  std::string state = "gone";
  if (std::ifstream stat(Cat("/proc/", sleeps, "/stat")); stat) {
    std::string pid, name;
    stat >> pid >> name >> state;
  }
  EXPECT_TRUE(state == "gone" || state == "Z" || state == "X") << state;
}

TEST_F(HooksTest, AProgramThatReadsNothingGetsItsInputAllTheSame) {
  auto answer = RunHook(Program("echo '{}'"), std::string(1 << 20, 'x'), milliseconds(5000));
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ(*answer, "{}\n");
}

TEST_F(HooksTest, WhatAProgramLeavesInTheBackgroundIsNotWaitedFor) {
  auto answer = RunHook(Program("sleep 600 & echo '{}'"), "", std::chrono::minutes(10));
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ(*answer, "{}\n");
}

TEST_F(HooksTest, OneThatWritesWithoutEndIsEndedAtItsDeadlineAndItsLastWordsAreKept) {
  auto end = RunSiteProgram({.argv = {Program("while echo more; do :; done")},
                             .input = "",
                             .deadline = milliseconds(300),
                             .output = SiteProgram::kWords});
  ASSERT_TRUE(end.has_value()) << end.error().message;
  EXPECT_EQ(end->how, SiteProgramEnd::kTimedOut);
  EXPECT_LE(end->output.size(), 64U << 10);
  EXPECT_NE(Describe(*end).find("killed: more"), std::string::npos) << Describe(*end).substr(0, 200);
}

}  // namespace
}  // namespace slipway::scheduler
