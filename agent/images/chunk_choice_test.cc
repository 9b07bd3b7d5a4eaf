// SPDX-License-Identifier: Apache-2.0
#include "agent/images/chunk_choice.h"

#include <gtest/gtest.h>

#include <memory>

namespace slipway {
namespace {

using Outcome = ChunkChoice::Outcome;
constexpr MonotonicTime kStart{std::chrono::hours(1)};

std::string Bits(std::uint32_t chunks, const std::vector<std::uint32_t>& set) {
  std::string bits((chunks + 7) / 8, '\0');
  for (std::uint32_t i : set) bits[i / 8] = static_cast<char>(bits[i / 8] | 1 << (i % 8));
  return bits;
}

TEST(ChunkChoice, TheControllerIsAskedOnlyForWhatNoPeerHas) {
  ChunkChoice choice(6, 1);
  auto peer = choice.AddPeer();
  choice.SetHas(peer, false, Bits(6, {0, 2, 4}));
  int from_peer = 0;
  while (auto task = choice.Next(kStart)) {
    EXPECT_EQ(task->source == peer, task->chunk % 2 == 0) << task->chunk;
    from_peer += task->source == peer;
    choice.Ended(*task, Outcome::kCame, kStart);
  }
  EXPECT_EQ(from_peer, 3);
  EXPECT_TRUE(choice.Complete());
}

TEST(ChunkChoice, TheRarestComesFirstAndThePeerWithTheLeastToDoIsAsked) {
  ChunkChoice choice(4, 1);
  auto a = choice.AddPeer(), b = choice.AddPeer();
  choice.SetHas(a, false, Bits(4, {0, 1, 2}));
  choice.SetHas(b, false, Bits(4, {0, 1}));
  EXPECT_EQ(choice.Next(kStart)->chunk, 3U);  // at no peer
  EXPECT_EQ(choice.Next(kStart)->chunk, 2U);  // at one
  auto third = choice.Next(kStart), fourth = choice.Next(kStart);
  EXPECT_EQ(third->source, b);
  EXPECT_NE(third->source, fourth->source);
  EXPECT_FALSE(choice.Next(kStart));
}

TEST(ChunkChoice, WhatOneCouldNotGiveIsAskedOfAnother) {
  ChunkChoice choice(1, 1);
  auto peer = choice.AddPeer();
  choice.SetHas(peer, true, {});
  for (Outcome outcome : {Outcome::kBusy, Outcome::kFailed}) {
    ChunkChoice::Task task = *choice.Next(kStart);
    EXPECT_EQ(task.source, peer);
    choice.Ended(task, outcome, kStart);
    EXPECT_FALSE(choice.Usable(peer, kStart));
    task = *choice.Next(kStart);
    EXPECT_EQ(task.source, ChunkChoice::kController);
    choice.Ended(task, Outcome::kLacks, kStart);
    choice.SetHas(ChunkChoice::kController, true, {});
    // The pause is over after a while.
    EXPECT_TRUE(choice.Usable(peer, kStart + std::chrono::seconds(1)));
    task = *choice.Next(kStart + std::chrono::seconds(1));
    EXPECT_EQ(task.source, peer);
    choice.Ended(task, Outcome::kBusy, kStart - std::chrono::seconds(10));
  }
}

TEST(ChunkChoice, WhoGivesSomethingElseIsNeverAskedAgain) {
  ChunkChoice choice(1, 1);
  auto peer = choice.AddPeer();
  choice.SetHas(peer, true, {});
  choice.Ended(*choice.Next(kStart), Outcome::kUnusable, kStart);
  auto task = choice.Next(kStart + std::chrono::hours(1));
  EXPECT_EQ(task->source, ChunkChoice::kController);
  EXPECT_FALSE(choice.AllUnusable());
  choice.Ended(*task, Outcome::kUnusable, kStart);
  EXPECT_TRUE(choice.AllUnusable());
  EXPECT_FALSE(choice.Next(kStart + std::chrono::hours(1)));
}

TEST(ChunkChoice, AmongManyAskersTheOwnShareIsAskedOfTheControllerAndTheRestOnlyWhenIdle) {
  ChunkChoice choice(6, 1);
  choice.SetShare(3, 1);  // chunks 1 and 4
  auto first = choice.Next(kStart), second = choice.Next(kStart);
  EXPECT_EQ(first->chunk % 3, 1U);
  EXPECT_EQ(second->chunk % 3, 1U);
  choice.Ended(*first, Outcome::kCame, kStart);
  EXPECT_FALSE(choice.Next(kStart));
  choice.Ended(*second, Outcome::kCame, kStart);
  EXPECT_NE(choice.Next(kStart)->chunk % 3, 1U);
  EXPECT_FALSE(choice.Next(kStart));
}

TEST(ChunkChoice, BitsThatAreTooShortOrTooLongAreNoHarm) {
  ChunkChoice choice(20, 1);
  auto peer = choice.AddPeer();
  choice.SetHas(peer, false, std::string(1, '\xff'));
  choice.SetHas(peer, false, std::string(1000, '\xff'));
  choice.SetHas(peer, false, {});
  EXPECT_EQ(choice.Next(kStart)->source, ChunkChoice::kController);
}

// Eight nodes that begin at once, each link carrying one chunk at a time each way: virtual time, no network.
TEST(ChunkChoice, EightNodesThatBeginAtOnceTakeLittleMoreThanOneImageFromTheController) {
  constexpr std::uint32_t kNodes = 8, kChunks = 150;
  struct Node {
    std::unique_ptr<ChunkChoice> choice;
    std::vector<std::uint32_t> has;
    std::vector<ChunkChoice::Source> peers;  // by node
  };
  std::vector<Node> nodes(kNodes);
  for (std::uint32_t n = 0; n < kNodes; ++n) {
    nodes[n].choice = std::make_unique<ChunkChoice>(kChunks, n + 1);
    nodes[n].choice->SetShare(kNodes, n);
    for (std::uint32_t k = 0; k < kNodes; ++k)
      nodes[n].peers.push_back(k == n ? 0 : nodes[n].choice->AddPeer());
  }
  int from_controller = 0, rounds = 0;
  auto all_complete = [&] {
    return std::all_of(nodes.begin(), nodes.end(), [](Node& node) { return node.choice->Complete(); });
  };
  for (; !all_complete() && rounds < 10000; ++rounds) {
    std::vector<bool> sends(kNodes + 1);  // who has given its chunk of this round; the last: the controller
    for (std::uint32_t i = 0; i < kNodes; ++i) {
      std::uint32_t n = (i + static_cast<std::uint32_t>(rounds)) % kNodes;
      Node& node = nodes[n];
      for (std::uint32_t k = 0; k < kNodes; ++k)
        if (k != n) node.choice->SetHas(node.peers[k], false, Bits(kChunks, nodes[k].has));
      std::vector<ChunkChoice::Task> queued;
      for (int tries = 0; tries < 8; ++tries) {
        auto task = node.choice->Next(kStart);
        if (!task) break;
        std::uint32_t giver = kNodes;
        for (std::uint32_t k = 0; k < kNodes; ++k)
          if (k != n && task->source == node.peers[k]) giver = k;
        if (sends[giver]) {  // its link is full in this round: the request waits there
          queued.push_back(*task);
          continue;
        }
        sends[giver] = true;
        from_controller += giver == kNodes;
        node.choice->Ended(*task, Outcome::kCame, kStart);
        node.has.push_back(task->chunk);
        break;
      }
      for (auto& task : queued) node.choice->Ended(task, Outcome::kBusy, MonotonicTime{});
    }
  }
  EXPECT_TRUE(all_complete());
  EXPECT_LE(from_controller, 165) << "of " << kChunks * kNodes << " chunks in all";
  EXPECT_LE(rounds, static_cast<int>(kChunks) * 3 / 2) << "one alone takes " << kChunks;
}

}  // namespace
}  // namespace slipway
