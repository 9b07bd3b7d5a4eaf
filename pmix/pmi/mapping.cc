// SPDX-License-Identifier: Apache-2.0
#include "pmix/pmi/mapping.h"

#include "base/result/result.h"

namespace slipway {
namespace {

struct Block {
  std::uint32_t first_node = 0, nodes = 1, ranks = 0;
};

}  // namespace

std::string PmiProcessMapping(const std::vector<std::vector<std::uint32_t>>& ranks) {
  std::size_t count = 0;
  for (auto& list : ranks) count += list.size();
  std::vector<std::uint32_t> node_of(count);
  for (std::uint32_t node = 0; node < ranks.size(); ++node) {
    for (std::uint32_t rank : ranks[node]) node_of.at(rank) = node;
  }
  std::vector<Block> runs;  // of ranks that follow one another on one node
  for (std::uint32_t node : node_of) {
    if (runs.empty() || runs.back().first_node != node) runs.push_back({.first_node = node});
    ++runs.back().ranks;
  }
  std::vector<Block> blocks;  // of nodes that follow one another and have as many
  for (const Block& run : runs) {
    if (!blocks.empty() && blocks.back().ranks == run.ranks &&
        blocks.back().first_node + blocks.back().nodes == run.first_node) {
      ++blocks.back().nodes;
    } else {
      blocks.push_back(run);
    }
  }
  std::string text = "(vector";
  for (const Block& block : blocks)
    text += Cat(",(", block.first_node, ",", block.nodes, ",", block.ranks, ")");
  return text + ")";
}

}  // namespace slipway
