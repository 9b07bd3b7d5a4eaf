// SPDX-License-Identifier: Apache-2.0
// The network between controller and nodes: late, twice, not at all, one way.
#include <chrono>

#include "scheduler/sim/chaos_world.h"

namespace slipway::scheduler {

using std::chrono::milliseconds;

void World::Deliver(Loop::Task task) {
  if (!calm_ && rng_.Chance(faults_.drop)) return;
  int copies = !calm_ && rng_.Chance(faults_.twice) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    loop_.After(milliseconds(rng_.Below(calm_ ? 20 : faults_.delay_ms_max)), task);
  }
}

std::uint64_t World::OpenStream(ModelNode& node) {
  if (!controller_) return 0;
  BreakStream(node);
  streams_[++last_stream_] = {node.name()};
  return last_stream_;
}

// The controller notices after a while.
void World::BreakStream(ModelNode& node) {
  auto stream = streams_.find(node.session());
  if (stream == streams_.end() || !stream->second.open) return;
  stream->second.open = false;
  loop_.After(milliseconds(rng_.Below(10'000)), [this, id = stream->first, name = node.name()] {
    if (streams_.count(id) > 0) Feed(LoseNode{name, id});
  });
}

void World::ToController(ModelNode& node, std::uint64_t session, Input input) {
  if (mute_.count(node.name()) > 0) return;
  Deliver([this, session, input = std::move(input)] {
    if (streams_.count(session) > 0) Feed(input);  // even one that broke since: it was on the way
  });
}

void World::ToNode(const Send& send) {
  auto stream = streams_.find(send.session);
  if (stream == streams_.end() || !stream->second.open || deaf_.count(send.node) > 0) return;
  Trace(Cat("to ", send.node, ": ", Describe(send.message)));
  for (auto& node : nodes_) {
    if (node->name() != send.node) continue;
    Deliver(
        [n = node.get(), session = send.session, message = send.message] { n->OnMessage(session, message); });
  }
}

}  // namespace slipway::scheduler
