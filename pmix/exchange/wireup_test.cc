// SPDX-License-Identifier: Apache-2.0
// The wire-up of a step of many nodes in one process: the real exchange with its links, in virtual time over
// a network whose every hop takes 50 µs and whose frames are counted. What must grow as log N does, and a
// node must not receive twice what there is to know.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <iostream>
#include <memory>

#include "base/loop/sim_loop.h"
#include "pmix/exchange/exchange.h"

namespace slipway {
namespace {

constexpr auto kHop = std::chrono::microseconds(50);

class Cluster {
 public:
  explicit Cluster(std::uint32_t nodes) : received_(nodes), frames_(nodes) {
    std::vector<std::string> names;
    for (std::uint32_t i = 0; i < nodes; ++i) names.push_back(Cat("n", i));
    for (std::uint32_t i = 0; i < nodes; ++i) {
      ExchangeCallbacks callbacks;
      callbacks.send = [this, i](std::uint32_t to, std::string bytes) {
        ++frames_[i];
        loop_.After(kHop, [this, i, to, bytes = std::move(bytes)] {
          received_[to] += bytes.size();
          auto delivered = nodes_[to]->Deliver(i, bytes);
          EXPECT_TRUE(delivered) << delivered.error().message;
        });
      };
      callbacks.serve = [](std::uint32_t, Service, std::string, Exchange::Reply reply) {
        reply(std::string());
      };
      callbacks.step_failed = [](std::uint32_t, std::int32_t, std::string reason) { FAIL() << reason; };
      nodes_.push_back(std::make_unique<Exchange>(i, names, std::move(callbacks)));
    }
  }

  struct Cost {
    double hops = 0;                    // until the last node has everything, in hops' time
    std::size_t bytes = 0, frames = 0;  // of the node that received, that sent the most
  };
  // Every node brings that many bytes; all must have all of them.
  Cost WireUp(std::size_t bytes_each) {
    auto count = static_cast<std::uint32_t>(nodes_.size());
    std::vector<std::uint32_t> all(count);
    for (std::uint32_t i = 0; i < count; ++i) all[i] = i;
    std::fill(received_.begin(), received_.end(), 0);
    std::fill(frames_.begin(), frames_.end(), 0);
    MonotonicTime began = loop_.Now(), ended = began;
    std::uint32_t answered = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      nodes_[i]->AllGather("world", all, std::string(bytes_each, 'x'), [&](Result<std::string> data) {
        ASSERT_TRUE(data) << data.error().message;
        EXPECT_EQ(data->size(), bytes_each * count);
        ++answered;
        ended = loop_.Now();
      });
    }
    loop_.Run();
    EXPECT_EQ(answered, count);
    return {.hops = static_cast<double>((ended - began).count()) /
                    static_cast<double>(std::chrono::nanoseconds(kHop).count()),
            .bytes = *std::max_element(received_.begin(), received_.end()),
            .frames = *std::max_element(frames_.begin(), frames_.end())};
  }

 private:
  SimLoop loop_;
  std::vector<std::unique_ptr<Exchange>> nodes_;
  std::vector<std::size_t> received_, frames_;
};

TEST(WireUp, OfAThousandNodesTakesTenHopsAndBringsEachByteOnce) {
  constexpr std::size_t kBytesEach = 256;
  for (std::uint32_t nodes : {2U, 4U, 8U, 10U, 100U, 1000U}) {
    Cluster cluster(nodes);
    for (int fence : {1, 2}) {  // the second finds links with a past
      Cluster::Cost cost = cluster.WireUp(kBytesEach);
      std::size_t needed = kBytesEach * (nodes - 1);
      bool direct = nodes <= kDirectNodesMax;
      int rounds = direct ? 1 : std::bit_width(nodes - 1);
      std::cout << "wire-up " << fence << " of " << nodes << " nodes, " << kBytesEach
                << " bytes each: " << cost.hops << " hops, at most " << cost.frames << " frames sent and "
                << static_cast<double>(cost.bytes) / static_cast<double>(needed)
                << " x the data received by a node\n";
      EXPECT_EQ(cost.hops, rounds);
      EXPECT_LE(cost.frames, direct ? nodes - 1 : static_cast<std::size_t>(3 * rounds));
      EXPECT_LE(cost.bytes, 2 * needed);
    }
  }
}

TEST(WireUp, OfBarriersCostsLogNFramesOfBoundedSize) {
  for (std::uint32_t nodes : {10U, 100U, 1000U}) {
    Cluster::Cost cost = Cluster(nodes).WireUp(0);
    int rounds = std::bit_width(nodes - 1);
    EXPECT_EQ(cost.hops, rounds);
    // Each node's empty block has a length of its own.
    EXPECT_LE(cost.bytes, 4 * nodes + static_cast<std::size_t>(rounds) * 200) << nodes;
  }
}

}  // namespace
}  // namespace slipway
