// SPDX-License-Identifier: Apache-2.0
// What is answered to who knows the first word of a command and not the second.
#include "cli/command/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace slipway::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

Command Up() { return {.name = "slipway dev up", .summary = "make a cluster"}; }
Command Down() { return {.name = "slipway dev down", .summary = "end it"}; }
Command Secret() { return {.name = "slipway dev secret", .summary = "for ourselves"}; }
Command Jobs() { return {.name = "slipway jobs", .summary = "list jobs"}; }
Result<int> DoNothing(const Parsed&) { return 0; }

class Groups : public ::testing::Test {
 protected:
  void Call(const std::vector<std::string>& words) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    code_ = Dispatch(words, {&kUp, &kDown, &kSecret, &kJobs});
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
  }
  static inline const Subcommand kUp{{"dev", "up"}, Up, DoNothing};
  static inline const Subcommand kDown{{"dev", "down"}, Down, DoNothing};
  static inline const Subcommand kSecret{{"dev", "secret"}, Secret, DoNothing, 1, true};
  static inline const Subcommand kJobs{{"jobs"}, Jobs, DoNothing};
  int code_ = -1;
  std::string out_, err_;
};

TEST_F(Groups, EachSaysWhatItHoldsWhenItIsCalledBareOrAskedForHelp) {
  for (const char* word : {"", "--help", "-h", "help"}) {
    Call(*word == '\0' ? std::vector<std::string>{"dev"} : std::vector<std::string>{"dev", word});
    EXPECT_EQ(code_, 0) << word;
    EXPECT_EQ(out_,
              "usage: slipway dev COMMAND [OPTION…]\n\n"
              "  up        make a cluster\n"
              "  down      end it\n\n"
              "`slipway dev COMMAND --help` says more.\n");
    EXPECT_EQ(err_, "");
  }
}

TEST_F(Groups, AWordThatIsNoneOfThemIsRefusedWithThoseThatAre) {
  Call({"dev", "upp"});
  EXPECT_EQ(code_, kUsage);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(err_, "slipway dev: unknown command 'upp'; one of up, down\n");
}

TEST_F(Groups, ACommandThatIsNoGroupKeepsItsOwnHelp) {
  Call({"jobs", "--help"});
  EXPECT_EQ(code_, 0);
  EXPECT_THAT(out_, HasSubstr("list jobs"));
  Call({"job"});
  EXPECT_EQ(code_, kUsage);
  EXPECT_THAT(err_, HasSubstr("did you mean 'jobs'"));
  EXPECT_THAT(err_, Not(HasSubstr("COMMAND")));
}

}  // namespace
}  // namespace slipway::cli
