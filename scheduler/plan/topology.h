// SPDX-License-Identifier: Apache-2.0
// How the cluster's network hangs together, and which of the nodes that fit lie closest to one another. Pure:
// it knows nodes by number and how much each could take, nothing of time or jobs.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "scheduler/plan/node_bits.h"

namespace slipway::plan {

enum class Network : std::uint8_t {
  kFlat,       // every node is as near as any other
  kTree,       // leaf switches below spines: as few leaves as can be, below one spine if it can be
  kDragonfly,  // the same, but what needs more than one leaf takes nodes of all leaves of its group in turn
  kLine        // neighbours are near: a torus along a Hilbert curve
};

struct Topology {
  Network network = Network::kFlat;
  std::vector<std::uint32_t> position;  // by node: its place in the network's order
  std::vector<std::uint32_t> leaf;      // by node: the switch that it hangs on
  // By switch: the one above it, which has a greater number; the last is the root and its own parent.
  std::vector<std::uint32_t> parent;

  bool flat() const { return network == Network::kFlat; }
};

// What a request wants of the network.
struct Nearness {
  std::uint32_t leaves_max = 0;  // at most so many leaves; 0: any number
  // With leaves_max: leaves of one switch so high above them, and no higher. 0: of any switch.
  std::uint32_t below_height = 0;
  bool contiguous = false;  // nodes that follow one another in the network's order
  auto operator<=>(const Nearness&) const = default;
  bool any() const { return leaves_max > 0 || contiguous; }
};

// Of the nodes in `able` the `want` that lie closest together; those in `prefer` (null: none) come first
// among equals. Nothing when there are not so many, or none that are as near as is wanted. The answer
// ascends.
std::optional<std::vector<NodeNumber>> ChooseNear(const Topology& topology, const NodeBits& able,
                                                  const Nearness& near, std::size_t want,
                                                  const NodeBits* prefer);

// What tasks want of the nodes that they are spread over. nodes_max below nodes_min is equal to it.
struct NearRoom {
  std::uint32_t tasks = 0;
  std::uint32_t nodes_min = 1, nodes_max = UINT32_MAX;
};

// Of nodes with room for so many tasks each (by node; 0: not able) those that lie closest together and of
// which at least nodes_min and at most nodes_max have room for the tasks. Empty when there are none that are
// as near as is wanted.
NodeBits ChooseNearRoom(const Topology& topology, const std::vector<std::uint32_t>& capacity,
                        const Nearness& near, const NearRoom& want);

// The place of a point of a cube of 2^bits points a side along the Hilbert curve through it: points that
// follow one another are neighbours.
std::uint64_t HilbertIndex(std::uint32_t x, std::uint32_t y, std::uint32_t z, unsigned bits);

}  // namespace slipway::plan
