// SPDX-License-Identifier: Apache-2.0
// The standard streams of interactive steps, between a client and the node.
#include <thread>

#include "scheduler/server/test_cluster.h"

namespace slipway::scheduler {
namespace {

TEST_F(Cluster, RelaysAnInteractiveStep) {
  auto node = Join("n1");
  v1::SubmitRequest request;
  request.mutable_spec()->set_image(folder_.image);
  request.mutable_spec()->set_interactive(true);
  request.mutable_spec()->mutable_program()->add_argv("cat");
  request.mutable_spec()->mutable_program()->set_cwd("/");
  auto id = Submit(kAnn, request);
  ASSERT_TRUE(id) << id.error().message;
  v1::ToNode message;
  ASSERT_TRUE(node->Next(v1::ToNode::kLaunch, message));
  v1::StepKey step = message.launch().step();
  EXPECT_TRUE(message.launch().stream_output());
  EXPECT_EQ(message.launch().job_nodes_size(), 0) << "a job's only step meets no others";
  node->Report(step, v1::StepReport::STARTED);
  ASSERT_TRUE(node->TakeCredit(24));
  node->Output(step, "before anybody listened\n");

  grpc::ClientContext call;
  Prepare(call, folder_.Token(kAnn));
  auto attach = jobs_->Attach(&call);
  v1::AttachInput first;
  first.set_job_id(*id);
  attach->Write(first);
  v1::AttachInput in;
  in.set_stdin("hello\n");
  in.set_stdin_eof(true);
  attach->Write(in);
  ASSERT_TRUE(node->Next(v1::ToNode::kInput, message));
  EXPECT_EQ(message.input().data(), "hello\n");
  EXPECT_TRUE(message.input().eof());
  std::string got;
  v1::AttachOutput out;
  bool noticed = false;
  std::thread client([&] {
    while (attach->Read(&out) && !out.ended()) {
      got += out.data();
      noticed |= !out.notice().empty();
    }
  });
  // More than the window: only what was taken is granted again.
  std::string sent = "before anybody listened\n";
  for (int i = 0; i < 64; ++i) {
    std::string block(16 << 10, static_cast<char>('a' + i % 26));
    sent += block;
    EXPECT_TRUE(node->TakeCredit(block.size()));
    node->Output(step, block);
  }
  node->Report(step, v1::StepReport::ENDED, 7);
  client.join();
  EXPECT_TRUE(out.ended());
  EXPECT_EQ(out.exit_code(), 7);
  EXPECT_TRUE(noticed);
  EXPECT_TRUE(got == sent) << got.size() << " bytes of " << sent.size();
  EXPECT_TRUE(attach->Finish().ok());
}

TEST_F(Cluster, CreatesTheStepThatAttachAsksForOnce) {
  auto node = Join("n1");
  v1::StepKey script = RunScript(*node);
  v1::ToNode message;
  v1::AttachInput first;
  *first.mutable_create() = StepOf(script.job(), "the same");
  v1::AttachOutput out;
  {
    grpc::ClientContext call;
    Prepare(call, folder_.Token(kAnn));
    auto attach = jobs_->Attach(&call);
    attach->Write(first);
    ASSERT_TRUE(attach->Read(&out));
    ASSERT_TRUE(out.has_step_id());
    EXPECT_EQ(out.step_id(), 0U);
    call.TryCancel();  // as if the answer had been lost
    EXPECT_FALSE(attach->Finish().ok());
  }
  ASSERT_TRUE(node->Next(v1::ToNode::kLaunch, message));
  EXPECT_EQ(message.launch().step().step(), 0U);
  EXPECT_EQ(message.launch().program().argv(0), "true");

  grpc::ClientContext again, stranger;
  Prepare(again, folder_.Token(kAnn));
  auto attach = jobs_->Attach(&again);
  attach->Write(first);
  ASSERT_TRUE(attach->Read(&out));
  EXPECT_TRUE(out.has_step_id());
  EXPECT_EQ(out.step_id(), 0U);
  node->Report(message.launch().step(), v1::StepReport::STARTED);
  node->Report(message.launch().step(), v1::StepReport::ENDED, 3);
  while (attach->Read(&out) && !out.ended()) EXPECT_FALSE(out.has_step_id());
  EXPECT_EQ(out.exit_code(), 3);
  EXPECT_TRUE(attach->Finish().ok());

  Prepare(stranger, folder_.Token(kBob));
  first.mutable_create()->set_request_id("another");
  auto refused = jobs_->Attach(&stranger);
  refused->Write(first);
  EXPECT_FALSE(refused->Read(&out));
  EXPECT_EQ(refused->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(Cluster, EndsALaunchWhoseClientIsGone) {
  auto node = Join("n1");
  v1::SubmitRequest request;
  request.mutable_spec()->set_image(folder_.image);
  request.mutable_spec()->set_interactive(true);
  request.mutable_spec()->mutable_program()->add_argv("sleep");
  request.mutable_spec()->mutable_program()->set_cwd("/");
  auto id = Submit(kAnn, request);
  ASSERT_TRUE(id) << id.error().message;
  v1::ToNode message;
  ASSERT_TRUE(node->Next(v1::ToNode::kLaunch, message));
  v1::StepKey step = message.launch().step();
  node->Report(step, v1::StepReport::STARTED);
  {
    grpc::ClientContext call;
    Prepare(call, folder_.Token(kAnn));
    auto attach = jobs_->Attach(&call);
    v1::AttachInput first;
    first.set_job_id(*id);
    attach->Write(first);
    v1::AttachOutput out;
    ASSERT_TRUE(attach->Read(&out));
    call.TryCancel();
    EXPECT_FALSE(attach->Finish().ok());
  }
  ASSERT_TRUE(node->Next(v1::ToNode::kEndJob, message));
  node->Report(step, v1::StepReport::ENDED, 143);
  node->Released(message.end_job());
  EXPECT_EQ(Ended(kAnn, *id)->state(), v1::JOB_STATE_CANCELLED);
}

}  // namespace
}  // namespace slipway::scheduler
