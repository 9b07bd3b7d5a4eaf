// SPDX-License-Identifier: Apache-2.0
// Nodes fall into pieces: what hangs on one leaf, or (along a line) what follows one another without a gap. A
// request gets the smallest piece that holds it; else pieces below the lowest switch that holds it, the
// largest first and the last one as small as it can be, which is the least number of pieces.
#include "scheduler/plan/topology.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace slipway::plan {
namespace {

struct Pieces {
  std::vector<std::uint32_t> of;      // by node
  std::vector<std::uint64_t> room;    // by piece, then by the switches above
  std::vector<std::uint32_t> parent;  // as in Topology
  std::vector<std::uint32_t> height;  // of switches above the pieces
  std::size_t count = 0;              // pieces: the first so many numbers
};

void AddUp(Pieces& pieces) {
  pieces.height.assign(pieces.parent.size(), 0);
  for (std::uint32_t at = 0; at < pieces.parent.size(); ++at) {
    std::uint32_t above = pieces.parent[at];
    if (above == at) continue;
    pieces.room[above] += pieces.room[at];
    pieces.height[above] = std::max(pieces.height[above], pieces.height[at] + 1);
  }
}

template <class RoomOf>
Pieces ByLeaf(const Topology& topology, const NodeBits& able, RoomOf room_of) {
  Pieces pieces;
  pieces.of = topology.leaf;
  pieces.parent = topology.parent;
  pieces.room.assign(pieces.parent.size(), 0);
  pieces.count = pieces.parent.size();
  able.Each([&](NodeNumber node) { return pieces.room[pieces.of[node]] += room_of(node), true; });
  AddUp(pieces);
  return pieces;
}

// Runs without a gap, below one root.
template <class RoomOf>
Pieces ByRun(const Topology& topology, const NodeBits& able, RoomOf room_of) {
  auto position = [&](NodeNumber node) {
    return node < topology.position.size() ? topology.position[node] : node;
  };
  std::vector<NodeNumber> order;
  able.Each([&](NodeNumber node) { return order.push_back(node), true; });
  std::ranges::sort(order, {}, position);
  Pieces pieces;
  pieces.of.assign(able.size(), 0);
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || position(order[i]) > position(order[i - 1]) + 1) pieces.room.push_back(0);
    pieces.of[order[i]] = static_cast<std::uint32_t>(pieces.room.size() - 1);
    pieces.room.back() += room_of(order[i]);
  }
  pieces.count = pieces.room.size();
  pieces.parent.assign(pieces.count + 1, static_cast<std::uint32_t>(pieces.count));
  pieces.room.push_back(0);
  AddUp(pieces);
  return pieces;
}

template <class RoomOf>
Pieces PiecesOf(const Topology& topology, const NodeBits& able, const Nearness& near, RoomOf room_of) {
  bool runs = near.contiguous || topology.network == Network::kLine || topology.parent.empty();
  return runs ? ByRun(topology, able, room_of) : ByLeaf(topology, able, room_of);
}

bool IsBelow(const Pieces& pieces, std::uint32_t piece, std::uint32_t above) {
  while (piece < above && pieces.parent[piece] != piece) piece = pieces.parent[piece];
  return piece == above;
}

// The pieces below the switch that have room, the roomiest first.
std::vector<std::uint32_t> OpenBelow(const Pieces& pieces, std::uint32_t below) {
  std::vector<std::uint32_t> open;
  for (std::uint32_t piece = 0; piece < pieces.count; ++piece) {
    if (pieces.room[piece] > 0 && pieces.height[piece] == 0 && IsBelow(pieces, piece, below))
      open.push_back(piece);
  }
  std::ranges::stable_sort(open, std::greater<>(), [&](std::uint32_t piece) { return pieces.room[piece]; });
  return open;
}

// As few pieces below the switch as have room for `want`. Empty: none do, or not so few.
std::vector<std::uint32_t> Greedy(const Pieces& pieces, std::uint32_t below, std::uint64_t want,
                                  std::size_t pieces_max) {
  std::vector<std::uint32_t> open = OpenBelow(pieces, below), chosen;
  auto first = open.begin();
  while (first != open.end() && chosen.size() < pieces_max) {
    if (pieces.room[*first] < want) {
      want -= pieces.room[*first];
      chosen.push_back(*first++);
      continue;
    }
    auto smallest =
        std::prev(std::upper_bound(first, open.end(), want, [&](std::uint64_t least, std::uint32_t piece) {
          return pieces.room[piece] < least;
        }));
    // Of equal ones the first.
    while (smallest != first && pieces.room[*std::prev(smallest)] == pieces.room[*smallest]) --smallest;
    chosen.push_back(*smallest);
    return chosen;
  }
  return {};
}

// The pieces that lie closest together with room for `want` and that `accept` takes; empty: none.
template <class Accept>
std::vector<std::uint32_t> ChoosePieces(const Pieces& pieces, const Nearness& near, std::uint64_t want,
                                        Accept accept) {
  std::size_t pieces_max = near.contiguous ? 1 : near.leaves_max > 0 ? near.leaves_max : SIZE_MAX;
  std::vector<std::uint32_t> candidates(pieces.parent.size());
  std::iota(candidates.begin(), candidates.end(), 0);
  std::erase_if(candidates, [&](std::uint32_t at) {
    bool wrong_height = near.below_height > 0 && pieces.height[at] > near.below_height;
    return pieces.room[at] < want || wrong_height;
  });
  std::ranges::stable_sort(candidates, {},
                           [&](std::uint32_t at) { return std::pair(pieces.height[at], pieces.room[at]); });
  for (std::uint32_t at : candidates) {
    std::vector<std::uint32_t> chosen = Greedy(pieces, at, want, pieces_max);
    if (chosen.empty()) continue;
    if (accept(chosen)) return chosen;
    // Room in tasks is not all: there may be too few nodes, or too many needed. More pieces may have better.
    chosen = OpenBelow(pieces, at);
    chosen.resize(std::min(chosen.size(), pieces_max));
    if (accept(chosen)) return chosen;
  }
  return {};
}

// Those of the nodes that `tasks` are to be spread over, of the pieces chosen: all, or where they must be
// contiguous the shortest stretch that suffices, all of which is used so that there is no gap.
NodeBits RoomIn(const Topology& topology, const std::vector<std::uint32_t>& capacity, const Nearness& near,
                const NearRoom& want, std::vector<NodeNumber> order) {
  NodeBits nodes(capacity.size());
  std::size_t most = std::max({want.nodes_min, want.nodes_max, 1U});
  if (!near.contiguous) {
    for (NodeNumber node : order) nodes.Set(node);
    std::ranges::sort(order, std::greater<>(), [&](NodeNumber node) { return capacity[node]; });
    order.resize(std::min(order.size(), most));
    std::uint64_t room = 0;
    for (NodeNumber node : order) room += capacity[node];
    return room >= want.tasks && order.size() >= want.nodes_min ? nodes : NodeBits(capacity.size());
  }
  std::ranges::sort(order, {}, [&](NodeNumber node) {
    return node < topology.position.size() ? topology.position[node] : node;
  });
  std::size_t best = std::min(order.size(), most) + 1, best_begin = 0, begin = 0;
  std::uint64_t room = 0;
  for (std::size_t end = 0; end < order.size(); ++end) {
    room += capacity[order[end]];
    while (room - capacity[order[begin]] >= want.tasks &&
           end - begin >= std::max<std::size_t>(want.nodes_min, 1))
      room -= capacity[order[begin++]];
    if (room < want.tasks || end + 1 - begin < want.nodes_min || end + 1 - begin >= best) continue;
    best = end + 1 - begin;
    best_begin = begin;
  }
  if (best > std::min(order.size(), most)) return nodes;
  for (std::size_t i = 0; i < best; ++i) nodes.Set(order[best_begin + i]);
  return nodes;
}

}  // namespace

std::optional<std::vector<NodeNumber>> ChooseNear(const Topology& topology, const NodeBits& able,
                                                  const Nearness& near, std::size_t want,
                                                  const NodeBits* prefer) {
  Pieces pieces = PiecesOf(topology, able, near, [](NodeNumber) { return 1; });
  std::vector<std::uint32_t> chosen =
      ChoosePieces(pieces, near, want, [](const std::vector<std::uint32_t>&) { return true; });
  if (chosen.empty()) return std::nullopt;
  constexpr std::uint32_t kNotChosen = UINT32_MAX;
  std::vector<std::uint32_t> place(pieces.parent.size(), kNotChosen);
  bool in_turn = topology.network == Network::kDragonfly && chosen.size() > 1 && near.leaves_max == 0 &&
                 !near.contiguous;
  if (in_turn) {  // of all leaves of the group
    std::uint32_t above = chosen.front();
    while (std::ranges::any_of(chosen, [&](std::uint32_t piece) { return !IsBelow(pieces, piece, above); }))
      above = pieces.parent[above];
    chosen.clear();
    for (std::uint32_t piece = 0; piece < pieces.count; ++piece) {
      if (pieces.height[piece] == 0 && pieces.room[piece] > 0 && IsBelow(pieces, piece, above))
        chosen.push_back(piece);
    }
  }
  for (std::uint32_t i = 0; i < chosen.size(); ++i) place[chosen[i]] = i;
  std::vector<std::vector<NodeNumber>> of_piece(chosen.size());
  able.Each([&](NodeNumber node) {
    if (place[pieces.of[node]] != kNotChosen) of_piece[place[pieces.of[node]]].push_back(node);
    return true;
  });
  bool runs = near.contiguous || topology.network == Network::kLine;
  for (std::vector<NodeNumber>& nodes : of_piece) {
    if (runs) {
      std::ranges::stable_sort(nodes, {}, [&](NodeNumber node) {
        return node < topology.position.size() ? topology.position[node] : node;
      });
    } else if (prefer != nullptr) {
      std::stable_partition(nodes.begin(), nodes.end(),
                            [&](NodeNumber node) { return node < prefer->size() && prefer->Has(node); });
    }
  }
  std::vector<NodeNumber> nodes;
  for (std::size_t round = 0; nodes.size() < want; ++round) {
    for (std::size_t i = 0; in_turn && i < of_piece.size() && nodes.size() < want; ++i) {
      if (round < of_piece[i].size()) nodes.push_back(of_piece[i][round]);
    }
    if (in_turn) continue;
    for (NodeNumber node : of_piece[round]) {
      if (nodes.size() < want) nodes.push_back(node);
    }
  }
  std::ranges::sort(nodes);
  return nodes;
}

NodeBits ChooseNearRoom(const Topology& topology, const std::vector<std::uint32_t>& capacity,
                        const Nearness& near, const NearRoom& want) {
  NodeBits able(capacity.size()), nodes(capacity.size());
  for (NodeNumber node = 0; node < capacity.size(); ++node) able.Put(node, capacity[node] > 0);
  Pieces pieces = PiecesOf(topology, able, near, [&](NodeNumber node) { return capacity[node]; });
  std::vector<bool> in(pieces.room.size());
  ChoosePieces(pieces, near, want.tasks, [&](const std::vector<std::uint32_t>& chosen) {
    in.assign(in.size(), false);
    for (std::uint32_t piece : chosen) in[piece] = true;
    std::vector<NodeNumber> order;
    able.Each([&](NodeNumber node) {
      if (in[pieces.of[node]]) order.push_back(node);
      return true;
    });
    nodes = RoomIn(topology, capacity, near, want, std::move(order));
    return nodes.Count() > 0;
  });
  return nodes;
}

// Skilling (2004): the axes are turned into the transposed index by undoing the curve's exchanges and
// inversions from the highest bit down, and then Gray coded.
std::uint64_t HilbertIndex(std::uint32_t x, std::uint32_t y, std::uint32_t z, unsigned bits) {
  std::array<std::uint32_t, 3> axes{x, y, z};
  if (bits == 0) return 0;
  const std::uint32_t top = std::uint32_t{1} << (bits - 1);
  for (std::uint32_t bit = top; bit > 1; bit >>= 1) {
    const std::uint32_t lower = bit - 1;
    for (std::uint32_t& axis : axes) {
      if ((axis & bit) != 0) {
        axes[0] ^= lower;
      } else {
        std::uint32_t swapped = (axes[0] ^ axis) & lower;
        axes[0] ^= swapped;
        axis ^= swapped;
      }
    }
  }
  for (std::size_t i = 1; i < axes.size(); ++i) axes[i] ^= axes[i - 1];
  std::uint32_t flip = 0;
  for (std::uint32_t bit = top; bit > 1; bit >>= 1) {
    if ((axes[2] & bit) != 0) flip ^= bit - 1;
  }
  for (std::uint32_t& axis : axes) axis ^= flip;
  std::uint64_t index = 0;
  for (unsigned bit = bits; bit-- > 0;) {
    for (std::uint32_t axis : axes) index = index << 1 | (axis >> bit & 1);
  }
  return index;
}

}  // namespace slipway::plan
