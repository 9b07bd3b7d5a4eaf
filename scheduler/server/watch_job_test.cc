// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/watch_job.h"

#include "scheduler/server/test_cluster.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint32_t kTasks = 40;

// Both ends of a call of Watch; how often it was told, until the job's end.
struct Watched {
  int told = 0;
  v1::Job last;
};

class WatchJobTest : public Cluster {
 protected:
  // Counts as changes: what its node says of a task, at once one after the other.
  void RunTask(FakeNode& node) {
    v1::ToNode message;
    ASSERT_TRUE(node.Next(v1::ToNode::kLaunch, message));
    node.Report(message.launch().step(), v1::StepReport::STARTED);
    node.Report(message.launch().step(), v1::StepReport::ENDED);
    ASSERT_TRUE(node.Next(v1::ToNode::kEndJob, message));
    node.Released(message.end_job());
  }
  std::thread Watch(std::uint64_t job, Watched& watched) {
    return std::thread([this, job, &watched] {
      grpc::ClientContext call;
      Prepare(call, folder_.Token(kAnn));
      v1::GetJobRequest asked;
      asked.set_job_id(job);
      auto reader = jobs_->Watch(&call, asked);
      while (reader->Read(&watched.last)) ++watched.told;
      EXPECT_TRUE(reader->Finish().ok());
    });
  }
};

TEST_F(WatchJobTest, ManyChangesOfAnArrayAreToldNowAndThenAndItsEndIsToldLast) {
  auto node = Join("n1");
  v1::SubmitRequest request = Batch(folder_.image);
  request.mutable_spec()->set_array(Cat("1-", kTasks));
  auto id = Submit(kAnn, request);
  ASSERT_TRUE(id) << id.error().message;
  auto begin = std::chrono::steady_clock::now();
  Watched watched;
  std::thread watcher = Watch(*id, watched);
  for (std::uint32_t task = 0; task < kTasks; ++task) RunTask(*node);
  watcher.join();
  auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_TRUE(watched.last.ended());
  EXPECT_EQ(watched.last.state(), v1::JOB_STATE_COMPLETED);
  EXPECT_GE(watched.told, 2);
  // At once, in each pause, at the end; every task changes three times.
  EXPECT_LE(watched.told, took / kBusyToldEvery + 2);
}

TEST_F(WatchJobTest, ManyStepsOfAJobAreToldNowAndThenAndItsEndIsToldLast) {
  auto node = Join("n1");
  v1::StepKey script = RunScript(*node);
  v1::ToNode message;
  auto begin = std::chrono::steady_clock::now();
  Watched watched;
  std::thread watcher = Watch(script.job(), watched);
  constexpr int kMoreSteps = 100;
  for (std::size_t i = 0; i < kStepsToldEach + kMoreSteps; ++i) {
    grpc::ClientContext call;
    Prepare(call, folder_.Token(kAnn));
    v1::CreateStepReply reply;
    ASSERT_TRUE(jobs_->CreateStep(&call, StepOf(script.job(), std::to_string(i)), &reply).ok());
    ASSERT_TRUE(node->Next(v1::ToNode::kLaunch, message));
    node->Report(message.launch().step(), v1::StepReport::STARTED);
    node->Report(message.launch().step(), v1::StepReport::ENDED);
  }
  node->Report(script, v1::StepReport::ENDED);
  ASSERT_TRUE(node->Next(v1::ToNode::kEndJob, message));
  node->Released(message.end_job());
  watcher.join();
  auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(watched.last.state(), v1::JOB_STATE_COMPLETED);
  // Of the first steps each change, three of a step; then in each pause; and the job's end.
  EXPECT_LE(watched.told, 3 * (kStepsToldEach + 1) + took / kBusyToldEvery + 4);
}

TEST_F(WatchJobTest, EachChangeOfAJobIsTold) {
  auto node = Join("n1");
  auto id = Submit(kAnn, Batch(folder_.image));
  ASSERT_TRUE(id);
  grpc::ClientContext call;
  Prepare(call, folder_.Token(kAnn));
  v1::GetJobRequest asked;
  asked.set_job_id(*id);
  auto reader = jobs_->Watch(&call, asked);
  v1::Job job;
  ASSERT_TRUE(reader->Read(&job));
  v1::ToNode message;
  ASSERT_TRUE(node->Next(v1::ToNode::kLaunch, message));
  node->Report(message.launch().step(), v1::StepReport::STARTED);
  while (job.state() != v1::JOB_STATE_RUNNING) ASSERT_TRUE(reader->Read(&job));
  node->Report(message.launch().step(), v1::StepReport::ENDED);
  ASSERT_TRUE(node->Next(v1::ToNode::kEndJob, message));
  while (job.state() != v1::JOB_STATE_COMPLETING) ASSERT_TRUE(reader->Read(&job));
  node->Released(message.end_job());
  while (!job.ended()) ASSERT_TRUE(reader->Read(&job));
  EXPECT_FALSE(reader->Read(&job));
  EXPECT_TRUE(reader->Finish().ok());
}

}  // namespace
}  // namespace slipway::scheduler
