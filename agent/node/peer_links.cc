// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <deque>

#include "agent/node/name_lookup.h"
#include "agent/node/peers.h"
#include "agent/node/tls_stream.h"
#include "base/log/log.h"
#include "base/wire/stream.h"
#include "slipway/v1/node.pb.h"

namespace slipway {
namespace {

constexpr std::chrono::milliseconds kFirstWait{100}, kLongestWait{5000};

}  // namespace

struct PeerLinks::Peer {
  std::string address;
  std::unique_ptr<NameLookup> lookup;
  std::unique_ptr<TlsStream> stream;
  std::deque<std::string> waiting;  // frames, while there is no stream
  std::size_t waiting_bytes = 0;
  std::chrono::milliseconds wait{0};
  MonotonicTime broken_since{};
  bool broken = true;
  std::size_t tries = 0;  // of several addresses of one name, each in turn
  Loop::TimerId timer;
};

PeerLinks::PeerLinks(Loop& loop, TlsFiles files, Limits limits, Lost lost)
    : loop_(loop), files_(std::move(files)), limits_(limits), lost_(std::move(lost)) {}

PeerLinks::~PeerLinks() {
  for (auto& [node, peer] : peers_) loop_.Cancel(peer->timer);
}

void PeerLinks::Send(const std::string& node, const std::string& address, const StepId& step,
                     std::uint32_t to_node, PeerWord word) {
  v1::PeerFrame frame;
  frame.mutable_step()->set_job(step.job);
  frame.mutable_step()->set_attempt(step.attempt);
  frame.mutable_step()->set_step(step.step);
  frame.set_from_node(word.from_node);
  frame.set_to_node(to_node);
  frame.set_data(std::move(word.bytes));
  frame.set_gone(std::move(word.gone));
  frame.set_ends_told(word.ends_told);
  if (word.from_step) frame.set_from_step(*word.from_step);
  std::string bytes = WithLength(frame.SerializeAsString());

  auto& peer = peers_[node];
  if (peer && peer->address != address) {  // the node has moved
    loop_.Cancel(peer->timer);
    peer.reset();
  }
  if (!peer) {
    peer = std::make_unique<Peer>();
    peer->address = address;
    peer->broken_since = loop_.Now();
    Open(node);
  }
  Peer& to = *peers_.at(node);
  std::size_t queued = to.waiting_bytes + (to.stream ? to.stream->queued_bytes() : 0);
  if (queued + bytes.size() > limits_.queued_bytes) return;
  if (to.stream) return to.stream->Send(bytes);
  to.waiting_bytes += bytes.size();
  to.waiting.push_back(std::move(bytes));
}

void PeerLinks::Open(const std::string& node) {
  Peer& peer = *peers_.at(node);
  peer.lookup.reset();
  peer.lookup = std::make_unique<NameLookup>(loop_, peer.address,
                                             [this, node](const Result<std::vector<TcpAddress>>& found) {
                                               if (!found) return OnEnded(node, found.error().message);
                                               if (auto begun = Connect(node, *found); !begun)
                                                 OnEnded(node, begun.error().message);
                                             });
}

Result<> PeerLinks::Connect(const std::string& node, const std::vector<TcpAddress>& addresses) {
  Peer& peer = *peers_.at(node);
  TlsStream::Events events;
  events.opened = [](const std::string&) {};  // that it takes us, it says itself
  events.bytes = [this, node](std::string_view) {
    peers_.at(node)->broken = false;
    peers_.at(node)->wait = std::chrono::milliseconds(0);
    return Result<>{};
  };
  events.ended = [this, node](const std::string& why) { OnEnded(node, why); };
  UniqueFd socket = TRY(StartConnectTcp(addresses[peer.tries++ % addresses.size()]));
  peer.stream =
      TRY(TlsStream::Client(loop_, files_, std::move(socket), node, kPeerGreeting, std::move(events)));
  for (const std::string& frame : peer.waiting) peer.stream->Send(frame);
  peer.waiting.clear();
  peer.waiting_bytes = 0;
  return {};
}

void PeerLinks::OnEnded(const std::string& node, const std::string& why) {
  auto at = peers_.find(node);
  if (at == peers_.end()) return;
  Peer& peer = *at->second;
  peer.stream.reset();
  if (!peer.broken) {
    peer.broken = true;
    peer.broken_since = loop_.Now();
  }
  peer.wait = std::clamp(peer.wait * 2, kFirstWait, kLongestWait);
  bool over = loop_.Now() + peer.wait - peer.broken_since >= limits_.lost_after;
  auto wait = over
                  ? std::max<Duration>(Duration::zero(), peer.broken_since + limits_.lost_after - loop_.Now())
                  : Duration(peer.wait);
  peer.timer = loop_.After(wait, [this, node, why, over] { over ? GiveUp(node, why) : Open(node); });
}

void PeerLinks::GiveUp(const std::string& node, const std::string& why) {
  peers_.erase(node);
  Log(Level::kWarn, "a peer cannot be reached", {{"node", node}, {"error", why}});
  lost_(node, Cat("node ", node, " cannot be reached: ", why));
}

}  // namespace slipway
