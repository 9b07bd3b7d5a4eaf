// SPDX-License-Identifier: Apache-2.0
// All stepds of a step in one process, over a network that loses, repeats, delays and reorders as it is told
// to.
#include "pmix/exchange/exchange.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <numeric>
#include <random>
#include <utility>

namespace slipway {
namespace {

class Net {
 public:
  explicit Net(std::uint32_t nodes, unsigned seed = 1, std::size_t message_bytes_max = 100 << 20)
      : random_(seed) {
    std::vector<std::string> names;
    for (std::uint32_t i = 0; i < nodes; ++i) names.push_back(Cat("n", i));
    for (std::uint32_t i = 0; i < nodes; ++i) {
      ExchangeCallbacks callbacks;
      callbacks.send = [this, i](std::uint32_t to, std::string bytes) {
        wire_.push_back({i, to, std::move(bytes)});
        ++frames_;
      };
      callbacks.serve = [i](std::uint32_t from, Service service, std::string data, Exchange::Reply reply) {
        if (data == "666") return reply(Fail(Code::kNotFound, "no such rank"));
        reply(Cat("data of rank ", data, " on ", i, " for ", from, service == Service::kModex ? "" : "?"));
      };
      callbacks.step_failed = [this, i](std::uint32_t from, std::int32_t code, std::string reason) {
        failures_.push_back(Cat(i, "<", from, ":", code, ":", reason));
      };
      nodes_.push_back(std::make_unique<Exchange>(i, names, std::move(callbacks), message_bytes_max));
    }
  }

  Exchange& operator[](std::uint32_t i) { return *nodes_[i]; }
  std::size_t frames() const { return frames_; }
  const std::vector<std::string>& failures() const { return failures_; }
  void Cut(std::uint32_t node) { cut_.push_back(node); }

  // Until nothing is under way; in random order where `shuffle`.
  void Settle(bool shuffle = false, int lose_percent = 0, int repeat_percent = 0) {
    for (int quiet = 0; quiet < 40;) {  // a dead node's peers try for ever
      if (wire_.empty()) {
        bool any = false;
        for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
          if (IsCut(i) || !nodes_[i]->wants_tick()) continue;
          nodes_[i]->Tick();
          any = true;
        }
        if (!any) return;
        ++quiet;
        continue;
      }
      std::size_t at = shuffle ? random_() % wire_.size() : 0;
      Packet packet = wire_[at];
      bool repeat = static_cast<int>(random_() % 100) < repeat_percent;
      if (!repeat) wire_.erase(wire_.begin() + static_cast<std::ptrdiff_t>(at));
      if (IsCut(packet.from) || IsCut(packet.to) || static_cast<int>(random_() % 100) < lose_percent)
        continue;
      quiet = 0;
      auto delivered = nodes_[packet.to]->Deliver(packet.from, packet.bytes);
      EXPECT_TRUE(delivered) << delivered.error().message;
    }
  }

 private:
  struct Packet {
    std::uint32_t from, to;
    std::string bytes;
  };
  bool IsCut(std::uint32_t node) const { return std::find(cut_.begin(), cut_.end(), node) != cut_.end(); }
  std::mt19937 random_;
  std::vector<std::unique_ptr<Exchange>> nodes_;
  std::deque<Packet> wire_;
  std::vector<std::uint32_t> cut_;
  std::vector<std::string> failures_;
  std::size_t frames_ = 0;
};

std::vector<std::uint32_t> AllOf(std::uint32_t n) {
  std::vector<std::uint32_t> nodes(n);
  std::iota(nodes.begin(), nodes.end(), 0);
  return nodes;
}

std::string Sorted(std::string text) {
  std::sort(text.begin(), text.end());
  return text;
}

Exchange::Reply Into(std::string& out) {
  return [&out](Result<std::string> data) { out = data ? *data : "!" + data.error().message; };
}

TEST(AllGather, GivesEveryNodeEveryonesDataForAnyNumberOfNodes) {
  for (std::uint32_t n = 1; n <= 17; ++n) {
    Net net(n, n);
    std::vector<std::string> answers(n);
    std::string expected;
    for (std::uint32_t i = 0; i < n; ++i) expected += static_cast<char>('a' + i);
    for (std::uint32_t i = n; i-- > 0;) {
      net[i].AllGather("*", AllOf(n), std::string(1, static_cast<char>('a' + i)), Into(answers[i]));
    }
    net.Settle();
    for (auto& answer : answers) EXPECT_EQ(Sorted(answer), expected) << n;
  }
}

TEST(AllGather, KeepsSeveralOpenOnesApartOverABadNetwork) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::uint32_t n = 2 + seed % 7;
    Net net(n, seed);
    std::map<std::string, std::vector<std::string>> answers;
    for (std::string members : {"*", "0,1", "all again"}) {
      for (int round = 0; round < 3; ++round) answers[members + std::to_string(round)].resize(n);
    }
    for (std::uint32_t i = 0; i < n; ++i) {
      for (int turn = 0; turn < 9; ++turn) {
        int pick = i % 2 == 0 ? turn / 3 : (turn / 3 + 1) % 3;  // nodes open the sets in different orders
        const char* members = pick == 0 ? "*" : pick == 1 ? "0,1" : "all again";
        std::string& answer = answers[members + std::to_string(turn % 3)][i];
        net[i].AllGather(members, AllOf(n), Cat(members, turn % 3, ";"), Into(answer));
      }
    }
    net.Settle(true, 20, 10);
    for (auto& [name, per_node] : answers) {
      for (auto& answer : per_node) {
        std::string expected;
        for (std::uint32_t i = 0; i < n; ++i) expected += name + ";";
        EXPECT_EQ(answer, expected) << "seed " << seed;
      }
    }
  }
}

TEST(AllGather, OfSomeNodesLeavesTheOthersAlone) {
  Net net(6);
  std::string answers[3];
  std::vector<std::uint32_t> some{1, 3, 5};
  for (int k = 0; k < 3; ++k) net[some[k]].AllGather("x", some, Cat(k), Into(answers[k]));
  net.Settle();
  for (auto& answer : answers) EXPECT_EQ(Sorted(answer), "012");
}

TEST(AllGather, OfADeadNodeFailsAtOnceEverywhereAndNamesIt) {
  Net net(9);
  std::vector<std::string> answers(9);
  net.Cut(6);
  for (std::uint32_t i = 0; i < 9; ++i) {
    if (i != 6) net[i].AllGather("*", AllOf(9), "x", Into(answers[i]));
  }
  for (int k = 0; k < 3; ++k) net.Settle();
  net[4].PeerGone(6, "power failure");  // only one hears of it from outside
  net.Settle();
  for (std::uint32_t i = 0; i < 9; ++i) {
    if (i == 6) continue;
    EXPECT_EQ(answers[i], "!node n6 is gone: power failure") << i;
  }
  std::string later;
  net[0].PeerGone(6, "power failure");
  net[0].AllGather("*", AllOf(9), "x", Into(later));
  EXPECT_EQ(later, "!node n6 is gone: power failure");
}

TEST(AllGather, CarriesMoreThanOneFrameHolds) {
  Net net(3);
  std::string big(5 << 20, 0), answers[3];
  std::mt19937 random(1);
  for (char& byte : big) byte = static_cast<char>(random());  // so that it does not get smaller
  for (std::uint32_t i = 0; i < 3; ++i) net[i].AllGather("*", AllOf(3), big, Into(answers[i]));
  EXPECT_GE(net.frames(), 15U);
  net.Settle(true, 5, 5);
  for (auto& answer : answers) EXPECT_EQ(answer, big + big + big);
}

// Two nodes, each with the same 2,000 bytes to give; in what node 0 sends, the size that these had is changed
// to `claimed`.
struct Told {
  std::string gathered, answered;  // to node 1
  std::string asker;               // to node 0, which asked with them
  std::size_t bytes = 0;           // that went over the wire
};
Told ThatClaims(std::uint32_t claimed) {
  const std::string data(2000, 'x'), was = '\1' + Encode(std::uint32_t{2000}), is = '\1' + Encode(claimed);
  std::deque<std::pair<std::uint32_t, std::string>> wire;
  std::unique_ptr<Exchange> nodes[2];
  for (std::uint32_t i : {0, 1}) {
    ExchangeCallbacks callbacks;
    callbacks.send = [&wire](std::uint32_t to, std::string bytes) {
      wire.emplace_back(to, std::move(bytes));
    };
    callbacks.serve = [](std::uint32_t, Service, std::string asked, Exchange::Reply reply) { reply(asked); };
    nodes[i] = std::make_unique<Exchange>(i, std::vector<std::string>{"n0", "n1"}, std::move(callbacks));
  }
  Told told;
  std::string other;
  nodes[0]->AllGather("*", {0, 1}, data, Into(other));
  nodes[1]->AllGather("*", {0, 1}, data, Into(told.gathered));
  nodes[0]->Ask(1, Service::kModex, data, Into(told.asker));
  nodes[1]->Ask(0, Service::kModex, data, Into(told.answered));
  for (; !wire.empty(); wire.pop_front()) {
    auto [to, bytes] = wire.front();
    if (std::size_t at = bytes.find(was); to == 1 && at != std::string::npos)
      bytes.replace(at, was.size(), is);
    told.bytes += bytes.size();
    EXPECT_TRUE(nodes[to]->Deliver(1 - to, bytes));
  }
  return told;
}

TEST(CompressedData, IsCarriedSmallerAndComesAsItWas) {
  Told told = ThatClaims(2000);
  EXPECT_EQ(told.gathered, std::string(4000, 'x'));
  EXPECT_EQ(told.answered, std::string(2000, 'x'));
  EXPECT_EQ(told.asker, std::string(2000, 'x'));
  EXPECT_LT(told.bytes, 1000U);
}

TEST(CompressedData, ThatIsNotWhatItClaimsFailsWhatItIsOfAndNamesTheNode) {
  for (std::uint32_t claimed : {0U, 1999U, 2001U, 1U << 30, UINT32_MAX}) {
    Told told = ThatClaims(claimed);
    EXPECT_EQ(told.gathered.substr(0, 1), "!");
    EXPECT_NE(told.gathered.find("node n0"), std::string::npos) << told.gathered;
    EXPECT_EQ(told.answered, "!node n0 does not keep the protocol of the exchange");
    EXPECT_EQ(told.asker, "!node n1: what node n0 asked came broken");
  }
}

// Of `nodes` stepds with 64 bytes each over a network with 50 µs a hop.
struct Cost {
  std::size_t hops = 0, bytes_in_max = 0, frames_out_max = 0;
};
Cost CostOf(std::uint32_t count) {
  constexpr std::size_t kBytes = 64;
  std::vector<std::string> names(count), answers(count);
  struct Packet {
    std::uint32_t from, to;
    std::string bytes;
  };
  std::vector<Packet> wire;
  std::vector<std::size_t> in(count), out(count);
  std::vector<std::unique_ptr<Exchange>> nodes;
  for (std::uint32_t i = 0; i < count; ++i) {
    ExchangeCallbacks callbacks;
    callbacks.send = [&wire, &out, i](std::uint32_t to, std::string bytes) {
      wire.push_back({i, to, std::move(bytes)});
      ++out[i];
    };
    nodes.push_back(std::make_unique<Exchange>(i, names, std::move(callbacks)));
  }
  for (std::uint32_t i = 0; i < count; ++i)
    nodes[i]->AllGather("*", AllOf(count), std::string(kBytes, 'x'), Into(answers[i]));
  Cost cost;
  while (!wire.empty()) {
    ++cost.hops;
    std::vector<Packet> under_way = std::move(wire);
    wire.clear();
    for (Packet& packet : under_way) {
      in[packet.to] += packet.bytes.size();
      EXPECT_TRUE(nodes[packet.to]->Deliver(packet.from, packet.bytes));
    }
  }
  for (auto& answer : answers) EXPECT_EQ(answer.size(), kBytes * count);
  cost.bytes_in_max = *std::max_element(in.begin(), in.end());
  cost.frames_out_max = *std::max_element(out.begin(), out.end());
  return cost;
}

// A link would drop it at the other end, and everybody would wait.
TEST(AllGather, OfMoreThanIsCarriedFailsEverywhereAndSaysSo) {
  Net net(5, 1, 1000);
  std::string some(600, 's'), answers[5];
  for (std::uint32_t i = 0; i < 5; ++i) net[i].AllGather("*", AllOf(5), some, Into(answers[i]));
  net.Settle();
  for (auto& answer : answers)
    EXPECT_NE(answer.find("the ranks exchange more than is carried"), std::string::npos) << answer;
  std::string request, answer;
  net[0].Ask(1, Service::kName, std::string(2000, 'r'), Into(request));
  EXPECT_NE(request.find("a request of 2000 bytes to node n1, at most 1000"), std::string::npos) << request;
  net[0].Ask(1, Service::kModex, std::string(990, 'a'), Into(answer));  // what is served is longer
  net.Settle();
  EXPECT_NE(answer.find("at most 1000"), std::string::npos) << answer;
  std::string next;
  for (std::uint32_t i = 0; i < 5; ++i)
    net[i].AllGather("*", AllOf(5), "x", Into(i == 0 ? next : answers[i]));
  net.Settle();
  EXPECT_EQ(next, "xxxxx");
}

TEST(AllGather, GrowsAsTheLogarithmAndCarriesNothingTwice) {
  struct Shape {
    std::uint32_t count;
    std::size_t hops, frames;
  };
  // Few nodes tell each other at once: each byte once all the same.
  for (auto [count, hops, frames] :
       {Shape{2, 1, 1}, {4, 1, 3}, {8, 1, 7}, {9, 4, 4}, {64, 6, 6}, {1000, 10, 10}}) {
    Cost cost = CostOf(count);
    EXPECT_EQ(cost.hops, hops) << count;
    EXPECT_EQ(cost.frames_out_max, frames) << count;
    EXPECT_LE(cost.bytes_in_max, 2 * 64 * count + frames * 100) << count;  // twice what the data itself needs
    std::printf(
        "%u nodes: %zu hops of 50 us = %zu us, at most %zu bytes into a node, %zu frames out of one\n", count,
        cost.hops, 50 * cost.hops, cost.bytes_in_max, cost.frames_out_max);
  }
}

// The last fence of a job: who has everything ends, and is told gone, while others still wait for third
// parties.
TEST(AllGather, GoesOnWithoutThoseThatHaveFinishedIt) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::uint32_t count = 2 + seed % 8;
    std::mt19937 random(seed);
    std::vector<std::string> names, answers(count);
    for (std::uint32_t i = 0; i < count; ++i) names.push_back(Cat("n", i));
    std::vector<std::unique_ptr<Exchange>> nodes;
    struct Packet {
      std::uint32_t from, to;
      std::string bytes;  // empty: it has gone
    };
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::deque<Packet>> wires;  // each in order
    for (std::uint32_t i = 0; i < count; ++i) {
      ExchangeCallbacks callbacks;
      callbacks.send = [&wires, i](std::uint32_t to, std::string bytes) {
        wires[{i, to}].push_back({i, to, std::move(bytes)});
      };
      nodes.push_back(std::make_unique<Exchange>(i, names, std::move(callbacks)));
    }
    auto settle = [&](std::uint32_t i) {
      return [&, i](Result<std::string> got) {
        answers[i] = got ? "all" : got.error().message;
        for (std::uint32_t to = 0; to < count; ++to) {
          if (to != i) wires[{i, to}].push_back({i, to, {}});
        }
      };
    };
    for (std::uint32_t i = 0; i < count; ++i) nodes[i]->AllGather("*", AllOf(count), "x", settle(i));
    for (;;) {
      std::vector<std::deque<Packet>*> busy;
      for (auto& [ends, wire] : wires) {
        if (!wire.empty()) busy.push_back(&wire);
      }
      if (busy.empty()) break;
      auto& wire = *busy[random() % busy.size()];
      Packet packet = std::move(wire.front());
      wire.pop_front();
      if (packet.bytes.empty()) {
        nodes[packet.to]->PeerGone(packet.from, "its part of the step has ended");
      } else {
        EXPECT_TRUE(nodes[packet.to]->Deliver(packet.from, packet.bytes));
      }
    }
    for (auto& answer : answers) EXPECT_EQ(answer, "all") << "seed " << seed;
  }
}

TEST(AllGather, EndsWithAPeerThatDoesNotKeepTheProtocol) {
  std::string answer;
  ExchangeCallbacks callbacks;
  std::string sent;
  callbacks.send = [&](std::uint32_t, std::string bytes) { sent = std::move(bytes); };
  Exchange here(0, {"a", "b"}, std::move(callbacks));
  ExchangeCallbacks theirs;
  std::string forged;
  theirs.send = [&](std::uint32_t, std::string bytes) { forged = std::move(bytes); };
  Exchange there(1, {"a", "b", "c"}, std::move(theirs));
  here.AllGather("*", {0, 1}, "x", Into(answer));
  there.AllGather("*", {0, 1}, "y", [](Result<std::string>) {});
  forged[forged.size() - 9] = 7;  // seven blocks are said to be in it
  ASSERT_TRUE(here.Deliver(1, forged));
  EXPECT_EQ(answer, "!node b does not keep the protocol of the exchange");
}

TEST(Ask, IsAnsweredByTheNodeAsked) {
  Net net(3);
  std::string here, there, none, dead;
  net[0].Ask(0, Service::kModex, "7", Into(here));
  net[0].Ask(2, Service::kModex, "9", Into(there));
  net[0].Ask(1, Service::kModex, "666", Into(none));
  net.Settle(true, 30, 10);
  EXPECT_EQ(here, "data of rank 7 on 0 for 0");
  EXPECT_EQ(there, "data of rank 9 on 2 for 0");
  EXPECT_EQ(none, "!node n1: no such rank");
  net.Cut(2);
  net[0].Ask(2, Service::kModex, "9", Into(dead));
  net[0].PeerGone(2, "rebooted");
  EXPECT_EQ(dead, "!node n2 is gone: rebooted");
}

TEST(Exchange, TellsEveryOtherNodeThatTheStepFailed) {
  Net net(3);
  net[1].TellStepFailed(7, "MPI_Abort");
  net.Settle(true, 30);
  auto failures = net.failures();
  std::sort(failures.begin(), failures.end());
  EXPECT_EQ(failures, (std::vector<std::string>{"0<1:7:MPI_Abort", "2<1:7:MPI_Abort"}));
}

TEST(Exchange, RefusesWhatIsNotItsProtocol) {
  Net net(2);
  EXPECT_FALSE(net[0].Deliver(1, "garbage"));
  EXPECT_FALSE(net[0].Deliver(0, ""));
  EXPECT_FALSE(net[0].Deliver(9, ""));
}

TEST(Link, SendsAgainWhatTheOldAgentTookWithIt) {
  std::vector<std::string> wire;
  Link a([&](std::string bytes) { wire.push_back(std::move(bytes)); });
  Link b([&](std::string) {});
  a.Send("one");
  a.Send("two");
  wire.clear();
  a.Resend();
  ASSERT_EQ(wire.size(), 2u);
  EXPECT_TRUE(b.Deliver(wire[1])->empty());
  EXPECT_EQ(*b.Deliver(wire[0]), (std::vector<std::string>{"one", "two"}));
  EXPECT_TRUE(b.Deliver(wire[0])->empty());  // once only
}

}  // namespace
}  // namespace slipway
