// SPDX-License-Identifier: Apache-2.0
// What an administrator says of nodes, through the real API.
#include "base/text/text.h"
#include "scheduler/server/test_cluster.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint32_t kRoot = 0;

class NodeCluster : public Cluster {
 protected:
  std::string ControllerSettings() const override { return "node_lost_after = '2s'\n"; }
  Result<v1::ListNodesReply> Change(std::uint32_t uid, v1::ChangeNodesRequest::What what,
                                    const std::vector<std::string>& names,
                                    const std::string& reason = "memory") {
    grpc::ClientContext call;
    Prepare(call, folder_.Token(uid));
    v1::ChangeNodesRequest request;
    request.set_what(what);
    for (const std::string& name : names) request.add_names(name);
    request.set_reason(reason);
    v1::ListNodesReply reply;
    TRY(ResultOf(v1::Nodes::NewStub(folder_.UserChannel())->Change(&call, request, &reply)));
    return reply;
  }
  std::string StateOf(const std::string& name) {
    grpc::ClientContext call;
    Prepare(call, folder_.Token(kAnn));
    v1::ListNodesReply reply;
    EXPECT_TRUE(v1::Nodes::NewStub(folder_.UserChannel())->List(&call, {}, &reply).ok());
    for (const v1::Node& node : reply.nodes()) {
      if (node.name() == name) return Cat(node.state(), " ", node.reason());
    }
    return "none";
  }
};

TEST_F(NodeCluster, ADrainedNodeKeepsItsJobsAndGetsNoNewOneUntilItIsResumed) {
  auto node = Join("n1");
  auto running = Submit(kAnn, Batch(folder_.image));
  v1::ToNode message;
  ASSERT_TRUE(node->Next(v1::ToNode::kLaunch, message));
  const v1::StepKey step = message.launch().step();
  node->Report(step, v1::StepReport::STARTED);
  auto drained = Change(kRoot, v1::ChangeNodesRequest::DRAIN, {"n1"});
  ASSERT_TRUE(drained) << drained.error().message;
  EXPECT_EQ(drained->nodes(0).state(), "DRAINING") << "a job is on it";
  auto waiting = Submit(kAnn, Batch(folder_.image));
  EXPECT_EQ(Get(kAnn, *waiting)->state(), v1::JOB_STATE_PENDING);
  EXPECT_EQ(Get(kAnn, *running)->state(), v1::JOB_STATE_RUNNING);
  node->Report(step, v1::StepReport::ENDED);
  ASSERT_TRUE(node->Next(v1::ToNode::kEndJob, message));
  node->Released(message.end_job());
  ASSERT_TRUE(Ended(kAnn, *running));
  EXPECT_EQ(StateOf("n1"), "DRAINED memory");
  EXPECT_EQ(Get(kAnn, *waiting)->state(), v1::JOB_STATE_PENDING);
  ASSERT_TRUE(Change(kRoot, v1::ChangeNodesRequest::RESUME, {"n1"}));
  ASSERT_TRUE(node->Next(v1::ToNode::kLaunch, message));
  EXPECT_EQ(message.launch().step().job(), *waiting);
}

TEST_F(NodeCluster, OnlyOneThatIsNotConnectedCanBeFenced) {
  auto node = Join("n1");
  auto running = Submit(kAnn, Batch(folder_.image));
  v1::ToNode message;
  ASSERT_TRUE(node->Next(v1::ToNode::kLaunch, message));
  node->Report(message.launch().step(), v1::StepReport::STARTED);
  auto connected = Change(kRoot, v1::ChangeNodesRequest::FENCED, {"n1"});
  ASSERT_FALSE(connected);
  EXPECT_EQ(connected.error().code, Code::kFailedPrecondition);
  node.reset();
  while (StateOf("n1").starts_with("UP")) std::this_thread::yield();
  EXPECT_NE(Get(kAnn, *running)->state(), v1::JOB_STATE_NODE_FAIL) << "it may still run there";
  auto fenced = Change(kRoot, v1::ChangeNodesRequest::FENCED, {"n1"}, "power is off");
  ASSERT_TRUE(fenced) << fenced.error().message;
  EXPECT_EQ(fenced->nodes(0).state(), "DOWN");
  auto ended = Ended(kAnn, *running);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->state(), v1::JOB_STATE_NODE_FAIL);
  FakeNode alive(folder_, server_->port(), "n1", "n1");
  ASSERT_TRUE(alive.Next(v1::ToNode::kRegistered, message));
  EXPECT_EQ(StateOf("n1"), "DOWN power is off") << "it was alive after all: an administrator looks at it";
  FakeNode rebooted(folder_, server_->port(), "n1", "n1", 4, {}, {}, "another boot");
  ASSERT_TRUE(rebooted.Next(v1::ToNode::kRegistered, message));
  EXPECT_EQ(StateOf("n1"), "UP ");
}

TEST_F(NodeCluster, WhatIsWrongChangesNoNodeAtAll) {
  auto node = Join("n1");
  auto wrong = [&](std::uint32_t uid, v1::ChangeNodesRequest::What what, std::vector<std::string> names,
                   const std::string& reason, Code code) {
    auto changed = Change(uid, what, names, reason);
    ASSERT_FALSE(changed) << slipway::Join(names, ",");
    EXPECT_EQ(changed.error().code, code) << changed.error().message;
  };
  wrong(kAnn, v1::ChangeNodesRequest::DRAIN, {"n1"}, "x", Code::kPermissionDenied);
  wrong(kRoot, v1::ChangeNodesRequest::DRAIN, {"n1", "n9"}, "x", Code::kNotFound);
  wrong(kRoot, v1::ChangeNodesRequest::DRAIN, {"n1"}, "", Code::kInvalidArgument);
  wrong(kRoot, v1::ChangeNodesRequest::DRAIN, {"n1"}, "two\nlines", Code::kInvalidArgument);
  wrong(kRoot, v1::ChangeNodesRequest::DRAIN, {"n1"}, std::string(300, 'x'), Code::kInvalidArgument);
  wrong(kRoot, v1::ChangeNodesRequest::DRAIN, {}, "x", Code::kInvalidArgument);
  wrong(kRoot, v1::ChangeNodesRequest::UNSPECIFIED, {"n1"}, "x", Code::kInvalidArgument);
  wrong(kRoot, static_cast<v1::ChangeNodesRequest::What>(77), {"n1"}, "x", Code::kInvalidArgument);
  EXPECT_EQ(StateOf("n1"), "UP ");
}

}  // namespace
}  // namespace slipway::scheduler
