// SPDX-License-Identifier: Apache-2.0
#include "agent/health/job_gate.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/loop/epoll_loop.h"

namespace slipway {
namespace {

using std::chrono::seconds;

class JobGateTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = MakeTempDirectory("/tmp", "slipway-gate-").value();
    loop_ = std::move(*EpollLoop::Make());
    options_ = {.timeout = seconds(20), .node = "n1", .state_dir = dir_, .boot_id = "boot"};
  }
  void TearDown() override {
    gate_.reset();
    EXPECT_TRUE(RemoveTree(dir_));
  }
  std::string Script(const char* name, const std::string& text) {
    std::string path = Cat(dir_, "/", name);
    EXPECT_TRUE(WriteFileAtomically(path, "#!/bin/sh\n" + text + "\n", 0755));
    return path;
  }
  void Make() {
    JobGate::Events events;
    events.look = [this](std::function<void(const std::string&)> done) { done(unfit_); };
    events.refuse = [this](const StepId& step, const std::string& reason) {
      Note(Cat("refused ", ToString(step), ": ", reason));
    };
    events.drain = [this](const std::string& reason) { Note(Cat("drain: ", reason)); };
    gate_ = std::make_unique<JobGate>(*loop_, options_, events);
  }
  void Note(const std::string& what) { notes_ += what + "\n"; }
  void Enter(StepId step) {
    gate_->Enter({step.job, step.attempt, 20001, 20001, "alice", "c1"}, step,
                 [this, step] { Note(Cat("start ", ToString(step))); });
  }
  void Leave(StepId step) {
    gate_->Leave(step.job, step.attempt, [this] { Note("left"); });
  }
  // Until that many lines are noted.
  bool Until(int lines) {
    MonotonicTime end = loop_->Now() + seconds(20);
    auto enough = [&] { return std::count(notes_.begin(), notes_.end(), '\n') >= lines; };
    std::function<void()> look = [&] {
      if (enough() || loop_->Now() > end) return loop_->Stop();
      loop_->After(std::chrono::milliseconds(1), look);
    };
    look();
    loop_->Run();
    return enough();
  }
  std::string dir_, unfit_, notes_;
  GateOptions options_;
  std::unique_ptr<EpollLoop> loop_;
  std::unique_ptr<JobGate> gate_;
};

constexpr StepId kFirst{42, 1, 0}, kSecond{42, 1, 1}, kOther{43, 1, 0};

TEST_F(JobGateTest, WithoutProgramsAJobPassesAtOnce) {
  Make();
  Enter(kFirst);
  EXPECT_EQ(notes_, "start 42.1.0\n");
  Leave(kFirst);
  EXPECT_EQ(notes_, "start 42.1.0\nleft\n");
  Leave(kOther);
  EXPECT_EQ(notes_, "start 42.1.0\nleft\nleft\n") << "one that never was here";
}

TEST_F(JobGateTest, ThePrologRunsOncePerJobAndTheEpilogAfterIt) {
  std::string log = " >> " + dir_ + "/log";
  options_.prolog = Script("prolog", "echo prolog $SLIPWAY_JOB_ID $SLIPWAY_JOB_UID $SLIPWAY_JOB_USER" + log);
  options_.epilog = Script("epilog", "echo epilog $SLIPWAY_JOB_ID $SLIPWAY_HOOK" + log);
  Make();
  Enter(kFirst);
  Enter(kFirst);  // sent again
  Enter(kSecond);
  EXPECT_EQ(notes_, "");
  ASSERT_TRUE(Until(2));
  EXPECT_EQ(notes_, "start 42.1.0\nstart 42.1.1\n");
  Enter({42, 1, 2});
  EXPECT_TRUE(notes_.ends_with("start 42.1.2\n"));
  Leave(kFirst);
  Leave(kFirst);  // asked again
  ASSERT_TRUE(Until(4));
  EXPECT_TRUE(notes_.ends_with("2\nleft\n"));
  EXPECT_EQ(ReadFile(dir_ + "/log").value(), "prolog 42 20001 alice\nepilog 42 epilog\n");
}

TEST_F(JobGateTest, APrologThatFailsDrainsTheNodeAndRefusesTheJob) {
  options_.prolog = Script("prolog", "echo the scratch disk is gone; exit 4");
  Make();
  Enter(kFirst);
  ASSERT_TRUE(Until(2));
  std::string why = "prolog of job 42: exit code 4: the scratch disk is gone";
  EXPECT_EQ(notes_, Cat("drain: ", why, "\nrefused 42.1.0: ", why, "\n"));
  EXPECT_EQ(ReadFile(dir_ + "/output/00000000000000000042.1.prolog").value(), "the scratch disk is gone\n");
}

TEST_F(JobGateTest, APrologThatHangsHasAnEnd) {
  options_.prolog = Script("prolog", "exec sleep 1000");
  options_.timeout = seconds(1);
  Make();
  Enter(kFirst);
  ASSERT_TRUE(Until(2));
  EXPECT_NE(notes_.find("drain: prolog of job 42: not done within 1 s"), std::string::npos) << notes_;
  EXPECT_NE(notes_.find("refused 42.1.0"), std::string::npos);
}

TEST_F(JobGateTest, AnEpilogThatFailsDrainsTheNodeAndLetsTheJobGo) {
  options_.epilog = Script("epilog", "exit 1");
  Make();
  Enter(kFirst);
  Leave(kFirst);
  ASSERT_TRUE(Until(3));
  EXPECT_EQ(notes_, "start 42.1.0\ndrain: epilog of job 42: exit code 1\nleft\n");
}

TEST_F(JobGateTest, AnUnfitNodeTakesNoNewJobAndKeepsThoseThatAreIn) {
  Make();
  Enter(kFirst);
  unfit_ = "disk: /var is read-only";
  Enter(kSecond);
  Enter(kOther);
  EXPECT_EQ(notes_,
            "start 42.1.0\nstart 42.1.1\nrefused 43.1.0: the node is unfit: disk: /var is read-only\n");
}

TEST_F(JobGateTest, AStepThatIsKilledBehindThePrologNeverStarts) {
  options_.prolog = Script("prolog", "exit 0");
  Make();
  Enter(kFirst);
  Enter(kSecond);
  gate_->Drop(kFirst);
  EXPECT_FALSE(gate_->Hold(kFirst, [this] { Note("input"); }));
  EXPECT_TRUE(gate_->Hold(kSecond, [this] { Note("input"); }));
  ASSERT_TRUE(Until(2));
  EXPECT_EQ(notes_, "start 42.1.1\ninput\n") << "what is meant for a step comes behind its start";
}

TEST_F(JobGateTest, AJobThatEndsDuringItsPrologLeavesAfterIt) {
  options_.prolog = Script("prolog", "exit 0");
  options_.epilog = Script("epilog", "touch " + dir_ + "/epilog-ran");
  Make();
  Enter(kFirst);
  Leave(kFirst);
  EXPECT_EQ(notes_, "");
  ASSERT_TRUE(Until(1));
  EXPECT_EQ(notes_, "left\n");
  EXPECT_TRUE(ReadFile(dir_ + "/epilog-ran"));
}

TEST_F(JobGateTest, ANewAgentRunsNoPrologTwiceAndForgetsNoEpilog) {
  options_.prolog = Script("prolog", "echo x >> " + dir_ + "/log");
  options_.epilog = Script("epilog", "echo epilog $SLIPWAY_JOB_USER >> " + dir_ + "/log");
  Make();
  Enter(kFirst);
  ASSERT_TRUE(Until(1));
  Make();
  gate_->Found(kFirst);
  Enter(kSecond);
  EXPECT_EQ(notes_, "start 42.1.0\nstart 42.1.1\n");
  Leave(kFirst);
  ASSERT_TRUE(Until(3));
  EXPECT_EQ(ReadFile(dir_ + "/log").value(), "x\nepilog alice\n");
  EXPECT_EQ(NamesIn(dir_ + "/jobs").value().size(), 0u);
}

TEST_F(JobGateTest, WhatEnteredBeforeAnotherBootIsForgotten) {
  Make();
  Enter(kFirst);
  options_.boot_id = "next boot";
  options_.prolog = Script("prolog", "exit 0");
  Make();
  Enter(kFirst);
  EXPECT_EQ(notes_, "start 42.1.0\n") << "its prolog runs again";
  ASSERT_TRUE(Until(2));
}

}  // namespace
}  // namespace slipway
