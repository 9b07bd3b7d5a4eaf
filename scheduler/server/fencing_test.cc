// SPDX-License-Identifier: Apache-2.0
// A site's fence program and silent nodes, through the real slipwayd and its API.
#include <sys/stat.h>

#include <fstream>

#include "base/json/strict.h"
#include "base/text/text.h"
#include "scheduler/server/test_cluster.h"

namespace slipway::scheduler {
namespace {

class FencingCluster : public Cluster {
 protected:
  std::string Program() const { return folder_.path + "/fence"; }
  // What the program does is written before it is asked.
  std::string ControllerSettings() const override {
    return Cat("node_lost_after = '2s'\nheartbeat = '1s'\n[hooks]\nfence = '", Program(),
               "'\nfence_after = '4s'\nfence_retry = '1s'\nfence_share_max = 100\n");
  }
  void WriteProgram(const std::string& body) {
    std::ofstream(Program()) << "#!/bin/sh\ncd " << folder_.path << "\n" << body << "\n";
    ::chmod(Program().c_str(), 0700);
  }
  // n1 runs a job and is gone.
  std::uint64_t SilentNodeWithAJob(v1::StepKey* step = nullptr) {
    auto node = Join("n1");
    auto running = Submit(kAnn, Batch(folder_.image));
    EXPECT_TRUE(running);
    v1::ToNode message;
    EXPECT_TRUE(node->Next(v1::ToNode::kLaunch, message));
    if (step != nullptr) *step = message.launch().step();
    node->Report(message.launch().step(), v1::StepReport::STARTED);
    while (Get(kAnn, *running)->state() != v1::JOB_STATE_RUNNING) std::this_thread::yield();
    return *running;
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
  // Another process's doing is waited for; ctest bounds it.
  std::string WaitForState(const std::string& node, const std::string& begins) {
    for (;;) {
      if (std::string state = StateOf(node); state.starts_with(begins)) return state;
      std::this_thread::yield();
    }
  }
  bool Exists(const std::string& file) const {
    return ::access(Cat(folder_.path, "/", file).c_str(), F_OK) == 0;
  }
};

TEST_F(FencingCluster, ASilentNodeIsDeclaredDeadByTheProgramAndItsJobEnds) {
  WriteProgram("echo \"$#:$1:$(env | grep -c SLIPWAY)\" > argument; cat > question");
  std::uint64_t job = SilentNodeWithAJob();
  auto ended = Ended(kAnn, job);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->state(), v1::JOB_STATE_NODE_FAIL);
  EXPECT_EQ(ended->reason(), Cat("node n1 was declared down: fenced by ", Program()));
  EXPECT_EQ(StateOf("n1"), Cat("DOWN fenced by ", Program()));
  EXPECT_EQ(*ReadFile(folder_.path + "/argument"), "1:n1:0\n");
  Json question = *ParseJson(*ReadFile(folder_.path + "/question"), 4096);
  EXPECT_EQ(question["node"], "n1");
  EXPECT_EQ(question["cluster"], "test");
  EXPECT_EQ(question["boot_id"], "b");
  EXPECT_EQ(question["address"], "127.0.0.1:1");
  EXPECT_EQ(question["attempt"], 1);
  EXPECT_GE(question["silent_s"], 4);
  EXPECT_EQ(question["drained"], false);
  EXPECT_EQ(question["jobs"], Json::array({job}));
}

TEST_F(FencingCluster, AProgramThatFailsLeavesTheNodeAsItIsSaysWhyAndIsAskedAgain) {
  std::uint64_t job = SilentNodeWithAJob();
  std::string state = WaitForState("n1", "UNKNOWN could not");
  EXPECT_NE(state.find(Program()), std::string::npos) << "it is not there: " << state;
  WriteProgram("echo connecting; echo no answer from its BMC >&2; exit 3");
  state = WaitForState("n1", "UNKNOWN could not be fenced (exit code");
  EXPECT_NE(state.find("(exit code 3: no answer from its BMC), tried again in "), std::string::npos) << state;
  EXPECT_EQ(Get(kAnn, job)->state(), v1::JOB_STATE_RUNNING);
}

TEST_F(FencingCluster, ANodeThatComesBackMeanwhileKeepsItsJobAndTheProgramIsEnded) {
  WriteProgram("echo $$ > asked.new; mv asked.new asked; exec sleep 600");
  v1::StepKey step;
  std::uint64_t job = SilentNodeWithAJob(&step);
  while (!Exists("asked")) std::this_thread::yield();
  FakeNode back(folder_, server_->port(), "n1", "n1", 4, step);
  v1::ToNode message;
  ASSERT_TRUE(back.Next(v1::ToNode::kRegistered, message));
  pid_t pid = 0;
  std::ifstream(folder_.path + "/asked") >> pid;
  ASSERT_GT(pid, 0);
  while (::kill(pid, 0) == 0) std::this_thread::yield();
  EXPECT_EQ(StateOf("n1"), "UP ");
  EXPECT_EQ(Get(kAnn, job)->state(), v1::JOB_STATE_RUNNING);
}

TEST_F(FencingCluster, SlipwaydEndsWithoutWaitingForAProgramThatRuns) {
  WriteProgram("echo $$ > asked.new; mv asked.new asked; trap '' TERM; while :; do sleep 600; done");
  (void)SilentNodeWithAJob();
  while (!Exists("asked")) std::this_thread::yield();
}  // TearDown comes to an end

TEST(FenceSettings, WhatCouldFenceAWholeClusterOrNobodyIsRefused) {
  ClusterFolder folder;
  auto rules = [&](const std::string& hooks) -> Result<FenceRules> {
    EXPECT_TRUE(WriteFileAtomically(folder.path + "/slipway.toml", folder.Settings() + hooks));
    Config config = TRY(LoadDaemonConfig(folder.path + "/slipway.toml"));
    return FenceRulesOf(config);
  };
  EXPECT_EQ(rules("")->program, "");
  EXPECT_EQ(rules("[hooks]\nfence = '/bin/true'\n")->after, std::chrono::minutes(5));
  auto relative = rules("[hooks]\nfence = 'fence'\n");
  ASSERT_FALSE(relative);
  EXPECT_NE(relative.error().message.find("no absolute path"), std::string::npos) << relative.error().message;
  auto hasty = rules("[hooks]\nfence = '/bin/true'\nfence_after = '35s'\n");
  ASSERT_FALSE(hasty);
  EXPECT_NE(hasty.error().message.find("(40 s)"), std::string::npos) << hasty.error().message;
  EXPECT_TRUE(rules("[hooks]\nfence_after = '35s'\n")) << "nothing is fenced";
  EXPECT_FALSE(rules("[hooks]\nfence_share_max = 101\n"));
}

}  // namespace
}  // namespace slipway::scheduler
