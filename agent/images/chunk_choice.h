// SPDX-License-Identifier: Apache-2.0
// Which chunk of an image to ask whom for next, when the controller has them all and other nodes have some.
// If every node took everything from the controller, its link would be the bottleneck; if all took the same
// chunks in the same order, they would have nothing to give to one another. So: what a peer has is asked of a
// peer, the one with the least to do; the controller is asked for what no peer is known to have, and of that
// for this node's own share (a chunk of another's share only when there is nothing else to do); among chunks,
// the one that the fewest peers have comes first, and chance decides between equals.
//
// A pure decision: no clock, no network. For hundreds of nodes a pipelined tree would take this class's
// place: it would say which one peer to take the next chunk from.
//
// One thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/loop/loop.h"

namespace slipway {

class ChunkChoice {
 public:
  using Source = std::uint32_t;  // kController, or what AddPeer gave
  static constexpr Source kController = 0;
  struct Task {
    std::uint32_t chunk = 0;
    Source source = kController;
  };
  enum class Outcome {
    kCame,
    kBusy,     // it has too much to do: it is left alone for a moment
    kLacks,    // it has not that chunk (any more)
    kFailed,   // it cannot be reached, or stalls: left alone for longer and longer
    kWrong,    // not the chunk's bytes, but it may be asked again
    kUnusable  // it gives what is not the image, or refuses: never asked again
  };

  // `seed`: of the chance between equals.
  ChunkChoice(std::uint32_t chunks, std::uint64_t seed);

  void Have(std::uint32_t chunk);  // it is here already
  Source AddPeer();
  // So many nodes fetch the image now, and this is the one number `place` of them, from 0.
  void SetShare(std::uint32_t askers, std::uint32_t place);
  // What that peer has: bit i%8 of byte i/8 is chunk i; `whole`: every one.
  void SetHas(Source peer, bool whole, const std::string& bits);

  // Nothing: there is nobody to ask just now, or nothing left to ask for.
  std::optional<Task> Next(MonotonicTime now);
  void Ended(const Task& task, Outcome outcome, MonotonicTime now);
  void SourceFailed(Source source, MonotonicTime now);  // kFailed, without a chunk

  bool Complete() const { return missing_ == 0; }
  std::uint32_t in_flight() const { return in_flight_; }
  // Not paused, not unusable.
  bool Usable(Source source, MonotonicTime now) const;
  bool AllUnusable() const;

 private:
  enum class State : std::uint8_t { kMissing, kAsked, kHere };
  struct Peer {
    std::vector<bool> has;
    std::uint32_t in_flight = 0;
    std::uint32_t failures = 0;  // in a row
    bool unusable = false;
    MonotonicTime paused_until{};
  };
  std::optional<Source> Giver(std::uint32_t chunk, MonotonicTime now) const;
  std::uint32_t Rarity(std::uint32_t chunk) const;
  bool Ours(std::uint32_t chunk) const { return chunk % askers_ == place_; }

  std::vector<State> chunks_;
  std::vector<Peer> sources_;  // 0: the controller
  std::uint32_t missing_, in_flight_ = 0;
  std::uint32_t askers_ = 1, place_ = 0;
  std::mt19937_64 chance_;
};

}  // namespace slipway
