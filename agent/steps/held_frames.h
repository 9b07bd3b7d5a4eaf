// SPDX-License-Identifier: Apache-2.0
// The nodes of a step do not start at the same moment: the first stepd's exchange frames reach nodes whose
// own part is not there yet. They are kept for a while, within bounds, oldest dropped first (the exchange
// sends again what gets lost).
//
// Pure; time comes in as a parameter.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/loop/loop.h"
#include "launcher/spec/step_id.h"

namespace slipway {

struct PeerWord {
  std::string sender;           // the node's name, from its certificate
  std::uint32_t from_node = 0;  // what it claims to be in the step: to be compared
  std::string bytes;
  std::string gone;        // not empty: the sender's part has ended
  bool ends_told = false;  // with `gone`: as in StepPeerGone
  std::optional<std::uint32_t>
      from_step;  // it is of another step of the job: one of the two is the batch step
};

class HeldFrames {
 public:
  struct Limits {
    std::size_t frames = 4096, bytes = 32 << 20;
    Duration age = std::chrono::seconds(30);
  };
  HeldFrames() = default;
  explicit HeldFrames(Limits limits) : limits_(limits) {}

  void Hold(const StepId& step, PeerWord word, MonotonicTime now);
  std::vector<PeerWord> Take(const StepId& step);  // in order of arrival
  void DropOlder(MonotonicTime now);
  bool empty() const { return held_.empty(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Held {
    StepId step;
    PeerWord word;
    MonotonicTime since;
  };
  static std::size_t SizeOf(const PeerWord& word) { return word.bytes.size() + word.gone.size() + 128; }
  void DropFirst();
  Limits limits_;
  std::deque<Held> held_;
  std::size_t bytes_ = 0;
};

}  // namespace slipway
