// SPDX-License-Identifier: Apache-2.0
#include "agent/node/step_relay.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <condition_variable>
#include <mutex>

#include "agent/node/call_thread.h"
#include "api/tls.h"
#include "api/token.h"
#include "base/os/fd.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway {
namespace {

// A controller that answers with what it was told, and says whose token it saw.
class Echo final : public v1::Jobs::Service {
 public:
  grpc::Status CreateStep(grpc::ServerContext* call, const v1::CreateStepRequest* request,
                          v1::CreateStepReply* reply) override {
    if (TokenOf(*call) != "Bearer me") return {grpc::StatusCode::UNAUTHENTICATED, "whose is this?"};
    reply->set_step_id(static_cast<std::uint32_t>(request->job_id()) + 1);
    return grpc::Status::OK;
  }
  grpc::Status Cancel(grpc::ServerContext*, const v1::CancelRequest*, v1::CancelReply*) override {
    return {grpc::StatusCode::NOT_FOUND, "there is no such job"};
  }
  grpc::Status Attach(grpc::ServerContext* call,
                      grpc::ServerReaderWriter<v1::AttachOutput, v1::AttachInput>* stream) override {
    v1::AttachInput input;
    v1::AttachOutput output;
    while (stream->Read(&input)) {
      output.set_data(TokenOf(*call) + " " + input.stdin());
      stream->Write(output);
      if (input.stdin() == "end") return {grpc::StatusCode::ABORTED, "as you say"};
    }
    std::lock_guard lock(mutex_);
    ++ended_;
    changed_.notify_all();
    return grpc::Status::OK;
  }
  grpc::Status Get(grpc::ServerContext*, const v1::GetJobRequest*, v1::Job*) override {
    return grpc::Status::OK;
  }

  // Attached commands of whose end it has heard.
  bool WaitForEnds(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return ended_ == count; });
  }

 private:
  static std::string TokenOf(const grpc::ServerContext& call) {
    auto at = call.client_metadata().find(kAuthorizationKey);
    return at == call.client_metadata().end() ? "" : std::string(at->second.data(), at->second.size());
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  int ended_ = 0;
};

class StepRelayTest : public ::testing::Test {
 protected:
  StepRelayTest() : dir_(*MakeTempDirectory("/tmp", "step-relay-")) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + dir_ + "/controller", grpc::InsecureServerCredentials());
    builder.RegisterService(&echo_);
    controller_ = builder.BuildAndStart();
    Listen(1024);
    jobs_ = v1::Jobs::NewStub(DialUnix("unix:" + dir_ + "/steps.sock"));
  }
  ~StepRelayTest() override {
    relay_.reset();
    controller_->Shutdown(std::chrono::system_clock::now());
    (void)RemoveTree(dir_);
  }
  void Listen(int calls_max) {
    relay_.reset();
    calls_ = std::make_unique<CallThread>();
    relay_ = std::move(*StepRelay::Listen(*calls_, dir_ + "/steps.sock",
                                          DialUnix("unix:" + dir_ + "/controller"), calls_max));
  }
  static void Authorize(grpc::ClientContext& call) { call.AddMetadata(kAuthorizationKey, "Bearer me"); }

  std::string dir_;
  Echo echo_;
  std::unique_ptr<grpc::Server> controller_;
  std::unique_ptr<CallThread> calls_;
  std::unique_ptr<StepRelay> relay_;
  std::unique_ptr<v1::Jobs::Stub> jobs_;
};

TEST_F(StepRelayTest, PassesACallOnWithItsUsersToken) {
  grpc::ClientContext call, nobody, cancel;
  Authorize(call);
  v1::CreateStepRequest request;
  request.set_job_id(41);
  v1::CreateStepReply reply;
  EXPECT_TRUE(jobs_->CreateStep(&call, request, &reply).ok());
  EXPECT_EQ(reply.step_id(), 42U);
  auto refused = jobs_->CreateStep(&nobody, request, &reply);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(refused.error_message(), "whose is this?");
  v1::CancelReply cancelled;
  EXPECT_EQ(jobs_->Cancel(&cancel, {}, &cancelled).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(StepRelayTest, OfAnAttachedCommandBothDirectionsAndTheEndArrive) {
  grpc::ClientContext call;
  Authorize(call);
  auto stream = jobs_->Attach(&call);
  v1::AttachInput input;
  v1::AttachOutput output;
  for (const char* word : {"one", "two", "end"}) {
    input.set_stdin(word);
    ASSERT_TRUE(stream->Write(input));
    ASSERT_TRUE(stream->Read(&output));
    EXPECT_EQ(output.data(), std::string("Bearer me ") + word);
  }
  EXPECT_FALSE(stream->Read(&output));
  grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(status.error_message(), "as you say");
}

TEST_F(StepRelayTest, ACommandThatHasClosedItsSideOrGoneIsSaidToTheController) {
  {
    grpc::ClientContext call;
    auto stream = jobs_->Attach(&call);
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
    EXPECT_TRUE(echo_.WaitForEnds(1));
  }
  grpc::ClientContext call;
  auto stream = jobs_->Attach(&call);
  v1::AttachInput input;
  v1::AttachOutput output;
  ASSERT_TRUE(stream->Write(input));
  ASSERT_TRUE(stream->Read(&output));  // it has reached the controller
  call.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(echo_.WaitForEnds(2));
}

TEST_F(StepRelayTest, WithoutAControllerTheCommandHearsThatItShallAskAgain) {
  controller_->Shutdown(std::chrono::system_clock::now());
  grpc::ClientContext call, attach;
  v1::CreateStepReply reply;
  EXPECT_EQ(jobs_->CreateStep(&call, {}, &reply).error_code(), grpc::StatusCode::UNAVAILABLE);
  auto stream = jobs_->Attach(&attach);
  v1::AttachOutput output;
  EXPECT_FALSE(stream->Read(&output));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(StepRelayTest, WithoutTheRelayAnAttachedCommandHearsThatItShallAskAgain) {
  grpc::ClientContext call;
  auto stream = jobs_->Attach(&call);
  v1::AttachInput input;
  v1::AttachOutput output;
  ASSERT_TRUE(stream->Write(input));
  ASSERT_TRUE(stream->Read(&output));
  relay_.reset();
  EXPECT_FALSE(stream->Read(&output));
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_F(StepRelayTest, NoOtherCallIsAnsweredAndEveryUserMayAsk) {
  grpc::ClientContext call;
  v1::Job job;
  EXPECT_EQ(jobs_->Get(&call, {}, &job).error_code(), grpc::StatusCode::UNIMPLEMENTED);
  struct stat status {};
  ASSERT_EQ(::stat((dir_ + "/steps.sock").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0666U);
}

TEST_F(StepRelayTest, BeyondItsLimitOfCallsItRefusesAndGoesOn) {
  Listen(1);
  grpc::ClientContext first, second, third;
  v1::AttachInput input;
  v1::AttachOutput output;
  auto stream = jobs_->Attach(&first);
  ASSERT_TRUE(stream->Write(input));
  ASSERT_TRUE(stream->Read(&output));
  v1::CancelReply reply;
  EXPECT_EQ(jobs_->Cancel(&second, {}, &reply).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(jobs_->Attach(&third)->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  // Its place is free a moment after its end was told.
  for (int tries = 0; tries < 1000; ++tries) {
    grpc::ClientContext call;
    if (jobs_->Cancel(&call, {}, &reply).error_code() == grpc::StatusCode::NOT_FOUND) return;
  }
  FAIL() << "the place was not given back";
}

}  // namespace
}  // namespace slipway
