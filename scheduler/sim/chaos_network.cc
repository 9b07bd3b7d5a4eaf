// SPDX-License-Identifier: Apache-2.0
// The network between controller and nodes: late, twice, not at all, one way.
#include <chrono>

#include "scheduler/sim/chaos_world.h"

namespace slipway::scheduler {

using std::chrono::milliseconds;

constexpr std::int64_t kLostAfter_s = 10;

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
  Deliver([this, session, name = node.name(), input = std::move(input)] {
    if (streams_.count(session) == 0) return;
    auto presence = presence_.find(name);
    bool newer = presence == presence_.end() || session > presence->second.session;
    // What overtook the registration says nothing of when the node was heard.
    if (std::holds_alternative<RegisterNode>(input) && newer) presence_[name] = {session, loop_.Now()};
    Feed(input);  // even of a stream that broke since: it was on the way
  });
}

void World::Beat(ModelNode& node, std::uint64_t session) {
  if (mute_.count(node.name()) > 0) return;
  Deliver([this, session, n = &node, sent = loop_.Now()] {
    auto presence = presence_.find(n->name());
    if (streams_.count(session) == 0 || presence == presence_.end() || presence->second.session != session)
      return;
    presence->second.heard = loop_.Now();
    if (deaf_.count(n->name()) == 0) Deliver([n, session, sent] { n->OnBeatHeard(session, sent); });
  });
}

void World::Lose(const std::string& name) {
  Presence& presence = presence_[name];
  presence.lost = true;
  for (auto& node : nodes_) {
    if (node->name() != name) continue;
    BreakStream(*node);
    loop_.After(milliseconds(rng_.Below(2000)),
                [n = node.get(), s = node->session()] { n->OnStreamBroken(s); });
  }
  Feed(LoseNode{name, presence.session});
}

// As slipwayd's: who says nothing is lost after a while, and its leases end after a longer one.
void World::CheckPresence() {
  loop_.After(milliseconds(1000), [this] { CheckPresence(); });
  for (auto& node : nodes_) {
    if (!controller_) return;
    auto presence = presence_.find(node->name());
    MonotonicTime heard = presence == presence_.end() ? controller_began_ : presence->second.heard;
    auto silent_s = std::chrono::duration_cast<std::chrono::seconds>(loop_.Now() - heard).count();
    if (presence != presence_.end() && !presence->second.lost && silent_s >= kLostAfter_s) Lose(node->name());
    if (!controller_) return;
    auto wait = ShortestLeaseWait(controller_->controller().state(), node->name(), kChaosLeaseEnd_s);
    if (wait && silent_s >= *wait) Feed(NodeSilent{node->name(), silent_s});
  }
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
