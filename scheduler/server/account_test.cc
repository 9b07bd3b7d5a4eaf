// SPDX-License-Identifier: Apache-2.0
// Accounts, partitions and GPUs through the real API.
#include "base/text/text.h"
#include "scheduler/server/test_cluster.h"
#include "slipway/v1/account.grpc.pb.h"

namespace slipway::scheduler {
namespace {

class SiteCluster : public Cluster {
 protected:
  std::string ControllerSettings() const override {
    return "[priority]\nfair_share = 1000\n[[partition]]\nname = 'cpu'\nnodes = ['n2']\ndefault = "
           "true\nmax_time = '1h'\n"
           "[[partition]]\nname = 'gpu'\nnodes = ['n1']\n[[node]]\nnodes = ['n1']\nfeatures = ['ib']\n"
           "gpus = ['a100:2']\ngpu_devices = 'nvidia.com/gpu'\n[[licence]]\nname = 'matlab'\ncount = 2\n";
  }
  void SetUp() override {
    Cluster::SetUp();
    accounts_ = v1::Accounts::NewStub(folder_.UserChannel());
  }
  template <class Request>
  Result<> Change(std::uint32_t uid, const Request& request,
                  grpc::Status (v1::Accounts::Stub::*method)(grpc::ClientContext*, const Request&,
                                                             v1::ChangeAccountReply*)) {
    grpc::ClientContext call;
    Prepare(call, folder_.Token(uid));
    v1::ChangeAccountReply reply;
    return ResultOf(((*accounts_).*method)(&call, request, &reply));
  }
  v1::ListAccountsReply List(std::uint32_t uid) {
    grpc::ClientContext call;
    Prepare(call, folder_.Token(uid));
    v1::ListAccountsReply reply;
    EXPECT_TRUE(accounts_->List(&call, {}, &reply).ok());
    return reply;
  }
  std::unique_ptr<v1::Accounts::Stub> accounts_;
};

TEST_F(SiteCluster, AJobGetsItsGpusByNameAndItsPartitionsNodes) {
  auto cpu = Join("n2");
  auto gpu = Join("n1");
  v1::SubmitRequest request = Batch(folder_.image);
  request.mutable_spec()->mutable_resources()->set_partition("gpu");
  request.mutable_spec()->mutable_resources()->set_constraint("ib");
  request.mutable_spec()->mutable_resources()->set_gpus_per_node(2);
  request.mutable_spec()->mutable_resources()->set_gpu_type("a100");
  auto* licence = request.mutable_spec()->mutable_resources()->add_licences();
  licence->set_name("matlab");
  licence->set_count(2);
  auto id = Submit(kAnn, request);
  ASSERT_TRUE(id) << id.error().message;
  v1::ToNode message;
  ASSERT_TRUE(gpu->Next(v1::ToNode::kLaunch, message));
  const v1::Program& program = message.launch().program();
  EXPECT_EQ(slipway::Join(std::vector<std::string>(program.devices().begin(), program.devices().end()), " "),
            "nvidia.com/gpu=0 nvidia.com/gpu=1");
  EXPECT_EQ(program.env(program.env_size() - 1), "SLIPWAY_GPUS=0,1");
  auto job = Get(kAnn, *id);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->gpus(0), "0,1");
  EXPECT_EQ(job->account(), "default");

  auto nodes = v1::Nodes::NewStub(folder_.UserChannel());
  grpc::ClientContext call, other;
  Prepare(call, folder_.Token(kBob));
  v1::ListNodesReply list;
  ASSERT_TRUE(nodes->List(&call, {}, &list).ok());
  EXPECT_EQ(list.nodes(0).gpus(0).name(), "a100");
  EXPECT_EQ(list.nodes(0).gpus_free(), 0U);
  EXPECT_EQ(list.nodes(0).partitions(0), "gpu");
  EXPECT_EQ(list.nodes(0).features(0), "ib");
  Prepare(other, folder_.Token(kBob));
  v1::ListPartitionsReply partitions;
  ASSERT_TRUE(nodes->ListPartitions(&other, {}, &partitions).ok());
  ASSERT_EQ(partitions.partitions_size(), 2);
  EXPECT_TRUE(partitions.partitions(0).is_default());
  EXPECT_EQ(partitions.partitions(1).nodes_free(), 0U);
  EXPECT_EQ(partitions.licences(0).free(), 0U);
}

TEST_F(SiteCluster, WhatTheSiteDoesNotAllowIsRefusedWithTheReason) {
  auto node = Join("n2");
  v1::SubmitRequest request = Batch(folder_.image);
  request.mutable_spec()->mutable_resources()->set_time_limit_s(7200);
  EXPECT_NE(Submit(kAnn, request).error().message.find("PartitionTimeLimit"), std::string::npos);
  request = Batch(folder_.image);
  request.mutable_spec()->set_account("physics");
  EXPECT_NE(Submit(kAnn, request).error().message.find("there is no account physics"), std::string::npos);
  request = Batch(folder_.image);
  request.mutable_spec()->mutable_resources()->set_constraint("a\nb");
  EXPECT_EQ(Submit(kAnn, request).error().code, Code::kInvalidArgument);
}

TEST_F(SiteCluster, AccountsAreSetByAdministratorsAndSeenByAll) {
  auto node = Join("n2");
  v1::SetAccountRequest account;
  account.set_name("physics");
  account.set_shares(5);
  account.mutable_limits()->mutable_grp_tres()->set_cpu(64);
  EXPECT_EQ(Change(kAnn, account, &v1::Accounts::Stub::SetAccount).error().code, Code::kPermissionDenied);
  ASSERT_TRUE(Change(0, account, &v1::Accounts::Stub::SetAccount));
  v1::SetUserRequest user;
  user.set_account("physics");
  user.set_user("daemon");
  user.set_is_default(true);
  ASSERT_TRUE(Change(0, user, &v1::Accounts::Stub::SetUser));
  user.set_user("nobody-of-this-name");
  EXPECT_EQ(Change(0, user, &v1::Accounts::Stub::SetUser).error().code, Code::kNotFound);
  // What is not named stays.
  account.Clear();
  account.set_name("physics");
  account.set_description("Physics");
  ASSERT_TRUE(Change(0, account, &v1::Accounts::Stub::SetAccount));
  auto id = Submit(kAnn, Batch(folder_.image));
  ASSERT_TRUE(id) << id.error().message;
  EXPECT_EQ(Get(kAnn, *id)->account(), "physics");
  v1::ListAccountsReply reply = List(kBob);
  ASSERT_EQ(reply.accounts_size(), 2);
  EXPECT_EQ(reply.accounts(0).name(), "physics");
  EXPECT_EQ(reply.accounts(0).shares(), 5U);
  EXPECT_EQ(reply.accounts(0).description(), "Physics");
  EXPECT_EQ(reply.accounts(0).limits().grp_tres().cpu(), 64);
  EXPECT_FALSE(reply.accounts(0).limits().has_grp_jobs());
  ASSERT_EQ(reply.accounts(0).users_size(), 1);
  EXPECT_EQ(reply.accounts(0).users(0).user(), "daemon");
  EXPECT_EQ(reply.accounts(0).users(0).fair_share().rank(), 1U);
  v1::RemoveUserRequest remove;
  remove.set_account("physics");
  remove.set_user("daemon");
  EXPECT_EQ(Change(0, remove, &v1::Accounts::Stub::RemoveUser).error().code, Code::kFailedPrecondition);
}

}  // namespace
}  // namespace slipway::scheduler
