// SPDX-License-Identifier: Apache-2.0
// A step of three nodes whose stepds are only their Spawners, under virtual time.
#include "agent/stepd/spawner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <deque>

#include "base/loop/sim_loop.h"

namespace slipway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SpawnerTest : public ::testing::Test {
 protected:
  struct Node {
    std::unique_ptr<Spawner> spawner;
    std::vector<std::string> known;                      // worlds
    std::map<std::uint32_t, std::uint32_t> started;      // task → rank
    std::vector<std::pair<std::uint32_t, int>> signals;  // task, number
    std::vector<std::string> failures;
    std::string refusal;  // why nothing can be started here
    bool gone = false;
  };

  SpawnerTest() {
    for (std::uint32_t i = 0; i < 3; ++i) {
      Node& node = nodes_[i];
      node.spawner = std::make_unique<Spawner>(
          loop_,
          Spawner::Host{
              .node = i,
              .nodes = {"n0", "n1", "n2"},
              .connect_limit = std::chrono::seconds(300),
              .ask = [this, i](std::uint32_t to, Service service, std::string data,
                               Exchange::Reply reply) { Ask(i, to, service, data, std::move(reply)); },
              .may_start = [&node]() -> Result<> {
                if (node.refusal.empty()) return {};
                return Fail(Code::kFailedPrecondition, node.refusal);
              },
              .make_known = [&node](const SpawnedWorld& world) -> Result<> {
                node.known.push_back(world.name);
                return {};
              },
              .forget = [&node](const SpawnedWorld& world) { std::erase(node.known, world.name); },
              .start = [&node](const SpawnedWorld&, std::uint32_t rank, std::uint32_t task) -> Result<> {
                node.started[task] = rank;
                return {};
              },
              .signal = [&node](std::uint32_t task, int number) { node.signals.emplace_back(task, number); },
              .rank_ended = [](const std::string&, std::uint32_t, ExitStatus) {},
              .rank_failed = [&node](std::int32_t,
                                     const std::string& reason) { node.failures.push_back(reason); },
              .changed = [] {},
          });
    }
    nodes_[0].spawner->Lead({"s", {{"n0", 4, 1}, {"n1", 4, 1}, {"n2", 1, 1}}});  // room: 3, 3, 0
  }

  // By way of the loop, as over a network.
  void Ask(std::uint32_t from, std::uint32_t to, Service service, const std::string& data,
           Exchange::Reply reply) {
    loop_.Post([this, from, to, service, data, reply = std::move(reply)] {
      if (nodes_[to].gone) return reply(Fail(Code::kUnavailable, "node is gone"));
      nodes_[to].spawner->Serve(from, service, data, [this, reply](Result<std::string> answer) {
        loop_.Post([reply, answer = std::move(answer)]() mutable { reply(std::move(answer)); });
      });
    });
  }
  void Spawn(std::uint32_t count) {
    answer_.reset();
    SpawnRequest request{.parent = "w", .programs = {{.argv = {"p"}, .count = count}}};
    Ask(1, 0, Service::kSpawn, Encode(request),
        [this](Result<std::string> answer) { answer_ = std::move(answer); });
    Settle();
  }
  void Settle(std::chrono::seconds time = std::chrono::seconds(1)) {
    MonotonicTime until = loop_.Now() + time;
    while (loop_.Step(until)) {
    }
  }
  void ConnectAll(std::uint32_t node, const std::string& world) {
    for (auto& [task, rank] : nodes_[node].started) nodes_[node].spawner->OnConnected(world, rank);
    Settle();
  }
  void End(std::uint32_t node, int code) {
    auto started = std::exchange(nodes_[node].started, {});
    for (auto& [task, rank] : started) nodes_[node].spawner->OnExited(task, code << 8);
    Settle();
  }

  SimLoop loop_;
  Node nodes_[3];
  std::optional<Result<std::string>> answer_;
};

TEST_F(SpawnerTest, AnswersWhenAllHaveConnectedAndForgetsWhenAllHaveEnded) {
  Spawn(4);
  for (Node& node : nodes_) EXPECT_THAT(node.known, ElementsAre("s.1"));
  EXPECT_EQ(nodes_[0].started.size(), 3U);
  EXPECT_EQ(nodes_[1].started.size(), 1U);
  EXPECT_FALSE(nodes_[2].spawner->running());
  ConnectAll(0, "s.1");
  EXPECT_FALSE(answer_);
  ConnectAll(1, "s.1");
  ASSERT_TRUE(answer_);
  EXPECT_EQ(**answer_, "s.1");
  End(0, 0);
  EXPECT_TRUE(nodes_[0].spawner->any_world());
  End(1, 0);
  EXPECT_FALSE(nodes_[0].spawner->any_world());
  for (Node& node : nodes_) EXPECT_THAT(node.known, IsEmpty());
  EXPECT_THAT(nodes_[0].failures, IsEmpty());
}

TEST_F(SpawnerTest, OneThatEndsBeforeItHasConnectedTakesTheOthersAlong) {
  Spawn(4);
  End(1, 0);
  ASSERT_TRUE(answer_);
  EXPECT_THAT(answer_->error().message,
              HasSubstr("rank 3 of spawned world 1 on n1 exited with code 0 before"));
  EXPECT_EQ(nodes_[0].signals.size(), 3U);  // SIGKILL to each
  End(0, 137);
  EXPECT_THAT(nodes_[0].failures, IsEmpty());  // that was us
  EXPECT_FALSE(nodes_[0].spawner->any_world());
  Spawn(6);  // the room is there again
  EXPECT_EQ(nodes_[0].started.size() + nodes_[1].started.size(), 6U);
}

TEST_F(SpawnerTest, WhatANodeCannotStartIsTakenBackEverywhere) {
  nodes_[1].refusal = "the container has ended";
  Spawn(4);
  ASSERT_TRUE(answer_);
  EXPECT_THAT(answer_->error().message, HasSubstr("n1: the container has ended"));
  EXPECT_FALSE(nodes_[0].spawner->any_world());
  EXPECT_TRUE(nodes_[0].started.empty());
  for (Node& node : nodes_) EXPECT_THAT(node.known, IsEmpty());
}

TEST_F(SpawnerTest, ANodeWithoutRanksOfItNeedNotBeThere) {
  nodes_[2].gone = true;
  Spawn(2);
  ConnectAll(0, "s.1");
  ASSERT_TRUE(answer_ && answer_->has_value());
}

TEST_F(SpawnerTest, RanksThatNeverConnectAreGivenUpAfterTheLimit) {
  Spawn(2);
  Settle(std::chrono::seconds(301));
  ASSERT_TRUE(answer_);
  EXPECT_EQ(answer_->error().code, Code::kDeadlineExceeded);
  EXPECT_THAT(answer_->error().message,
              HasSubstr("on n0 not all spawned ranks called MPI_Init within 300 s"));
  EXPECT_EQ(nodes_[0].signals.size(), 2U);
}

TEST_F(SpawnerTest, AFailureOfOneThatHasConnectedIsTheSteps) {
  Spawn(1);
  ConnectAll(0, "s.1");
  End(0, 3);
  EXPECT_THAT(nodes_[0].failures, ElementsAre("rank 0 of spawned world 1 on n0 exited with code 3"));
}

TEST_F(SpawnerTest, ANodeThatGoesTakesItsRanksOffTheLedger) {
  Spawn(4);
  ConnectAll(0, "s.1");
  ConnectAll(1, "s.1");
  End(0, 0);
  nodes_[1].gone = true;
  nodes_[0].spawner->OnPeerGone(1);
  EXPECT_FALSE(nodes_[0].spawner->any_world());
}

TEST_F(SpawnerTest, TheEndOfTheContainerIsTheEndOfItsRanks) {
  Spawn(1);
  ConnectAll(0, "s.1");
  nodes_[0].spawner->OnInitGone();
  Settle();
  EXPECT_FALSE(nodes_[0].spawner->running());
  EXPECT_FALSE(nodes_[0].spawner->any_world());
}

TEST_F(SpawnerTest, OrdersComeFromTheFirstNodeOnly) {
  std::string stage(1, '\x01');
  nodes_[1].spawner->Serve(2, Service::kWorld, stage + Encode(SpawnedWorld{.number = 1}),
                           [&](Result<std::string> answer) { answer_ = std::move(answer); });
  ASSERT_TRUE(answer_);
  EXPECT_EQ(answer_->error().code, Code::kPermissionDenied);
  nodes_[1].spawner->Serve(0, Service::kWorld, "garbage",
                           [&](Result<std::string> answer) { answer_ = std::move(answer); });
  EXPECT_FALSE(answer_->has_value());
}

}  // namespace
}  // namespace slipway
