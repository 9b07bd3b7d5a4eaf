// SPDX-License-Identifier: Apache-2.0
#include "agent/steps/user_word.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "agent/steps/held_frames.h"
#include "agent/steps/plan.h"
#include "base/os/fd.h"

namespace slipway {
namespace {

constexpr StepId kStep{42, 1, 0};

TEST(UserWord, AStepSpeaksForItselfOnly) {
  StepResult result{.step = {43, 1, 0}};
  EXPECT_FALSE(ReadStepResult(Encode(result), kStep, {}));
  result.step = kStep;
  EXPECT_TRUE(ReadStepResult(Encode(result), kStep, {}));
  result.ranks = {{.rank = 9}};
  EXPECT_FALSE(ReadStepResult(Encode(result), kStep, {0, 1}));
  EXPECT_FALSE(ReadStepOutput(Encode(StepOutput{.rank = 2, .stream = 1}), {0, 1}));
  EXPECT_FALSE(ReadStepOutput(Encode(StepOutput{.rank = 1, .stream = 3}), {0, 1}));
  EXPECT_FALSE(ReadStepExchange(Encode(StepExchange{.node = 2}), 2));
}

TEST(UserWord, ReasonsAreOneBoundedLine) {
  StepResult result{.step = kStep, .exit_code = 1, .reason = "a\nb\x1b[2J" + std::string(5000, 'x')};
  auto read = ReadStepResult(Encode(result), kStep, {});
  ASSERT_TRUE(read);
  EXPECT_LE(read->reason.size(), kReasonBytesMax);
  EXPECT_EQ(read->reason.find_first_of("\n\x1b"), std::string::npos);
  result.exit_code = 256;
  EXPECT_FALSE(ReadStepResult(Encode(result), kStep, {}));
}

class StatusFile : public testing::Test {
 protected:
  void SetUp() override { dir_ = *MakeTempDirectory("/tmp", "slipway-status-"); }
  void TearDown() override { ASSERT_TRUE(RemoveTree(dir_)); }
  std::string dir_;
};

TEST_F(StatusFile, IsReadOnlyWhenItIsAWholeFile) {
  EXPECT_FALSE(ReadStatusFile(dir_, kStep, {}));
  std::string bytes = Encode(StepResult{.step = kStep, .exit_code = 5});
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/status", bytes.substr(0, bytes.size() - 1)));
  EXPECT_FALSE(ReadStatusFile(dir_, kStep, {}));
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/status", bytes));
  EXPECT_EQ(ReadStatusFile(dir_, kStep, {})->exit_code, 5);
}

TEST_F(StatusFile, ThatIsAPipeOrALinkDoesNotStopTheAgent) {
  ASSERT_EQ(::mkfifo((dir_ + "/status").c_str(), 0600), 0);
  EXPECT_FALSE(ReadStatusFile(dir_, kStep, {}));
  ASSERT_EQ(::unlink((dir_ + "/status").c_str()), 0);
  ASSERT_EQ(::symlink("/proc/self/environ", (dir_ + "/status").c_str()), 0);
  EXPECT_FALSE(ReadStatusFile(dir_, kStep, {}));
}

TEST_F(StatusFile, WhatIsKnownOfAStepOutlivesTheAgent) {
  KnownSteps known(dir_);
  KnownStep step{
      .step = kStep, .nodes = {"n1", "n2"}, .addresses = {"a:1", "b:2"}, .node_index = 1, .exchanges = true};
  ASSERT_TRUE(known.Write(step));
  EXPECT_EQ(known.Read(kStep)->nodes, step.nodes);
  EXPECT_FALSE(known.Read({43, 1, 0}));
  known.Remove(kStep);
  EXPECT_FALSE(known.Read(kStep));
}

// As an agent of before metering left it: its running steps keep their exchange and output.
struct KnownStepV2 {
  KnownStep step;
};
void Fields(auto& archive, IsA<KnownStepV2> auto& v) {
  auto& s = v.step;
  archive(s.version, s.step, s.nodes, s.addresses, s.node_index, s.ranks, s.exchanges, s.streams, s.lease_s);
}

TEST_F(StatusFile, WhatAnEarlierAgentWroteIsStillKnown) {
  KnownStepV2 old{
      {.version = 2, .step = kStep, .nodes = {"n1"}, .addresses = {"a:1"}, .ranks = {0, 1}, .lease_s = 60}};
  ASSERT_TRUE(MakeDirectories(dir_ + "/steps"));
  ASSERT_TRUE(WriteFileAtomically(Cat(dir_, "/steps/", ToString(kStep)), Encode(old)));
  auto read = KnownSteps(dir_).Read(kStep);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->ranks, old.step.ranks);
  EXPECT_EQ(read->lease_s, 60U);
  EXPECT_TRUE(read->libraries.empty());
}

TEST(HeldFrames, KeepOrderAndBounds) {
  HeldFrames held({.frames = 3, .bytes = 10000, .age = std::chrono::seconds(30)});
  MonotonicTime start{};
  for (int i = 0; i < 4; ++i) held.Hold(kStep, {.sender = "n1", .bytes = std::to_string(i)}, start);
  held.Hold({43, 1, 0}, {.bytes = std::string(20000, 'x')}, start);  // beyond all bounds
  auto taken = held.Take(kStep);
  ASSERT_EQ(taken.size(), 3U);
  EXPECT_EQ(taken[0].bytes, "1");
  EXPECT_EQ(taken[2].bytes, "3");
  EXPECT_TRUE(held.empty());
  EXPECT_EQ(held.bytes(), 0U);
  held.Hold(kStep, {}, start);
  held.DropOlder(start + std::chrono::seconds(29));
  EXPECT_FALSE(held.empty());
  held.DropOlder(start + std::chrono::seconds(30));
  EXPECT_TRUE(held.empty());
}

}  // namespace
}  // namespace slipway
