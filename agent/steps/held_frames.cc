// SPDX-License-Identifier: Apache-2.0
#include "agent/steps/held_frames.h"

namespace slipway {

void HeldFrames::DropFirst() {
  bytes_ -= SizeOf(held_.front().word);
  held_.pop_front();
}

void HeldFrames::Hold(const StepId& step, PeerWord word, MonotonicTime now) {
  std::size_t size = SizeOf(word);
  if (size > limits_.bytes || limits_.frames == 0) return;
  while (held_.size() >= limits_.frames || bytes_ + size > limits_.bytes) DropFirst();
  bytes_ += size;
  held_.push_back({step, std::move(word), now});
}

std::vector<PeerWord> HeldFrames::Take(const StepId& step) {
  std::vector<PeerWord> taken;
  std::deque<Held> rest;
  for (Held& held : held_) {
    if (held.step == step) {
      bytes_ -= SizeOf(held.word);
      taken.push_back(std::move(held.word));
    } else {
      rest.push_back(std::move(held));
    }
  }
  held_ = std::move(rest);
  return taken;
}

void HeldFrames::DropOlder(MonotonicTime now) {
  while (!held_.empty() && now - held_.front().since >= limits_.age) DropFirst();
}

}  // namespace slipway
