// SPDX-License-Identifier: Apache-2.0
#include "base/loop/forked_work.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

#include "base/loop/epoll_loop.h"

namespace slipway {
namespace {

class ForkedWork : public testing::Test {
 protected:
  // The answers so far, once there are `wanted` of them.
  std::vector<std::string> Answers(std::size_t wanted) {
    wanted_ = wanted;
    if (answers_.size() < wanted) loop_->Run();
    return answers_;
  }
  void Run(Workers::Work work) {
    workers_->Run(std::move(work), [this](Result<std::string> answer) {
      answers_.push_back(answer ? *answer : "error: " + answer.error().message);
      if (answers_.size() == wanted_) loop_->Stop();
    });
  }
  std::unique_ptr<EpollLoop> loop_ = EpollLoop::Make().value();
  std::unique_ptr<Workers> workers_ = std::make_unique<Workers>(*loop_);
  std::vector<std::string> answers_;
  std::size_t wanted_ = 0;
};

TEST_F(ForkedWork, AnswersAndErrorsComeBack) {
  Run([]() -> Result<std::string> { return std::string("done"); });
  EXPECT_EQ(Answers(1)[0], "done");
  Run([]() -> Result<std::string> { return Fail(Code::kDataLoss, "damaged"); });
  EXPECT_EQ(Answers(2)[1], "error: damaged");
}

TEST_F(ForkedWork, AWorkerThatEndsWithoutAWordIsAnError) {
  Run([]() -> Result<std::string> {
    ::raise(SIGKILL);
    return std::string();
  });
  EXPECT_NE(Answers(1)[0].find("a worker ended without an answer"), std::string::npos) << answers_[0];
}

TEST_F(ForkedWork, AnAnswerWithoutEndIsCutOff) {
  Run([]() -> Result<std::string> { return std::string(1 << 20, 'x'); });
  EXPECT_NE(Answers(1)[0].find("error: "), std::string::npos);
}

TEST_F(ForkedWork, MoreThanRunAtOnceWaitTheirTurnAndTooManyAreRefused) {
  for (int i = 0; i < 20; ++i) Run([i]() -> Result<std::string> { return std::to_string(i); });
  EXPECT_EQ(Answers(20).size(), 20u);
  answers_.clear();
  wanted_ = 0;  // refusals come at once, not in the loop
  for (int i = 0; i < 1000; ++i) Run([]() -> Result<std::string> { return std::string("x"); });
  EXPECT_FALSE(answers_.empty()) << "at once";
  EXPECT_NE(answers_[0].find("too much waits"), std::string::npos);
  EXPECT_EQ(Answers(1000).size(), 1000u);
}

}  // namespace
}  // namespace slipway
