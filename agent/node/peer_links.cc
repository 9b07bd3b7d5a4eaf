// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/node/peers.h"
#include "agent/node/rpc_stream.h"
#include "api/status.h"
#include "base/log/log.h"
#include "slipway/v1/node.grpc.pb.h"

namespace slipway {
namespace {

constexpr std::chrono::milliseconds kFirstWait{100}, kLongestWait{5000};
using Stream = RpcStream<v1::PeerFrame, v1::PeerFrame>;

}  // namespace

struct PeerLinks::Peer {
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Peer::Stub> stub;
  std::shared_ptr<Stream> stream;
  std::deque<v1::PeerFrame> waiting;  // while there is no stream
  std::size_t waiting_bytes = 0;
  std::chrono::milliseconds wait{0};
  MonotonicTime broken_since{};
  bool broken = true;
  Loop::TimerId timer;
};

PeerLinks::PeerLinks(Loop& loop, TlsFiles files, Limits limits, Lost lost)
    : loop_(loop), files_(std::move(files)), limits_(limits), lost_(std::move(lost)) {}

PeerLinks::~PeerLinks() {
  for (auto& [node, peer] : peers_) {
    loop_.Cancel(peer->timer);
    if (peer->stream) peer->stream->Close();
  }
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

  auto& peer = peers_[node];
  if (peer && peer->address != address) {  // the node has moved
    loop_.Cancel(peer->timer);
    if (peer->stream) peer->stream->Close();
    peer.reset();
  }
  if (!peer) {
    peer = std::make_unique<Peer>();
    peer->address = address;
    peer->broken_since = loop_.Now();
    Open(node);
    if (peers_.count(node) == 0) return;
  }
  Peer& to = *peers_.at(node);
  if (to.stream) {
    if (to.stream->queued_bytes() + frame.data().size() <= limits_.queued_bytes)
      to.stream->Send(std::move(frame));
    return;
  }
  if (to.waiting_bytes + frame.data().size() > limits_.queued_bytes) return;
  to.waiting_bytes += frame.data().size();
  to.waiting.push_back(std::move(frame));
}

void PeerLinks::Open(const std::string& node) {
  Peer& peer = *peers_.at(node);
  if (!peer.stub) {
    auto channel = DialTls(peer.address, files_, NodeTlsName(node));
    if (!channel) return OnEnded(node, channel.error().message);
    peer.channel = std::move(*channel);
    peer.stub = v1::Peer::NewStub(peer.channel);
  }
  Stream::Events events;
  events.opened = [this, node] {
    auto at = peers_.find(node);
    if (at == peers_.end()) return;
    at->second->broken = false;
    at->second->wait = std::chrono::milliseconds(0);
  };
  events.message = [](const v1::PeerFrame&) {};  // the other direction has a stream of its own
  events.ended = [this, node](const grpc::Status& status) {
    OnEnded(node, status.ok() ? "it closed the stream" : FromStatus(status, Cat("node ", node)).message);
  };
  peer.stream = Stream::Start(loop_, std::move(events), [&](grpc::ClientContext* context, Stream* stream) {
    peer.stub->async()->Exchange(context, stream);
  });
  for (v1::PeerFrame& frame : peer.waiting) peer.stream->Send(std::move(frame));
  peer.waiting.clear();
  peer.waiting_bytes = 0;
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
