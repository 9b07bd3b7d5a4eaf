// SPDX-License-Identifier: Apache-2.0
// The part of StepTable that carries what passes between a running stepd and the rest of the world: output
// under the controller's credit, and the exchange with the step's other nodes.
#include "agent/steps/step_table.h"
#include "agent/steps/user_word.h"
#include "base/log/log.h"

namespace slipway {
namespace {

constexpr std::size_t kOutputPieceBytesMax = 64 << 10;
constexpr std::size_t kHeldOutputBytesMax = 1 << 20;

}  // namespace

Result<> StepTable::OnFrame(const StepId& step, StepFrame kind, std::string_view payload) {
  Entry* entry = Find(step);
  if (entry == nullptr) return {};
  if (kind != StepFrame::kState && !entry->attached)
    return Fail(Code::kFailedPrecondition, "stepd sent frame ", static_cast<int>(kind), " before its state");
  switch (kind) {
    case StepFrame::kState: {
      StepState state = TRY(ReadStepState(payload, step));
      if (!entry->attached) OnAttached(step, *entry, state);
      return {};
    }
    case StepFrame::kOutput:
      OnOutput(step, *entry, TRY(ReadStepOutput(payload, entry->known.ranks)));
      return {};
    case StepFrame::kExchangeOut:
      return OnExchange(step, *entry, payload);
    case StepFrame::kEnded:
      Perform(step, entry->machine.OnResult(TRY(ReadStepResult(payload, step, entry->known.ranks))));
      return {};
    default:
      return Fail(Code::kInvalidArgument, "stepd sent a frame of unknown kind ", static_cast<int>(kind));
  }
}

void StepTable::OnAttached(const StepId& step, Entry& entry, const StepState& state) {
  entry.attached = true;
  if (entry.early_credit != 0) entry.link->Send(StepFrame::kCredit, entry.early_credit);
  entry.early_credit = 0;
  for (const StepStdin& input : entry.early_input) entry.link->Send(StepFrame::kStdin, input);
  entry.early_input.clear();
  entry.early_input_bytes = 0;
  for (PeerWord& word : held_.Take(step)) Deliver(entry, std::move(word));
  Perform(step, entry.machine.OnState(state));
}

void StepTable::OnOutput(const StepId& step, Entry& entry, StepOutput output) {
  std::string bytes = std::move(output.bytes);
  output.bytes.clear();
  do {
    StepOutput piece = output;
    piece.bytes = bytes.substr(0, kOutputPieceBytesMax);
    bytes.erase(0, piece.bytes.size());
    entry.held_bytes += piece.bytes.size() + 64;  // empty ones count too
    entry.held_output.push_back(std::move(piece));
  } while (!bytes.empty());
  SendOutput(step, entry, false);
  // stepd keeps to its credit; one that does not is left waiting.
  if (entry.held_bytes > kHeldOutputBytesMax && entry.link) entry.link->Pause(true);
}

void StepTable::SendOutput(const StepId& step, Entry& entry, bool all) {
  while (connected_ && !entry.held_output.empty()) {
    auto size = static_cast<std::int64_t>(entry.held_output.front().bytes.size());
    if (!all && size > entry.output_allowed) break;
    entry.output_allowed = std::max<std::int64_t>(0, entry.output_allowed - size);
    entry.held_bytes -= entry.held_output.front().bytes.size() + 64;
    events_.output(std::move(entry.held_output.front()), step);
    entry.held_output.pop_front();
  }
  if (entry.held_bytes <= kHeldOutputBytesMax / 2 && entry.link) entry.link->Pause(false);
}

Result<> StepTable::OnExchange(const StepId& step, Entry& entry, std::string_view payload) {
  if (entry.known.nodes.empty())
    return {};  // found again without its plan; the exchange waits in vain, and says so
  StepExchange exchange = TRY(ReadStepExchange(payload, entry.known.nodes.size()));
  if (exchange.node == entry.known.node_index) {
    // From the loop: stepd's own frame must not come back within the reading of it.
    loop_.Post([this, alive = alive_, step, bytes = std::move(exchange.bytes)]() mutable {
      if (!*alive) return;
      if (Entry* entry = Find(step); entry != nullptr && entry->attached)
        entry->link->Send(StepFrame::kExchangeIn, StepExchange{entry->known.node_index, std::move(bytes)});
    });
    return {};
  }
  entry.exchanged.insert(exchange.node);
  events_.to_peer(entry.known, exchange.node, std::move(exchange.bytes), {});
  return {};
}

void StepTable::FromPeer(const StepId& step, PeerWord word) {
  if (word.bytes.size() > kExchangeBytesMax) return;
  word.gone = OneLine(word.gone);
  Entry* entry = Find(step);
  if (entry != nullptr && entry->machine.news().last()) return;
  if (entry != nullptr && entry->attached) return Deliver(*entry, std::move(word));
  held_.Hold(step, std::move(word), loop_.Now());
  ArmHeldTimer();
}

void StepTable::Deliver(Entry& entry, PeerWord word) {
  const KnownStep& known = entry.known;
  if (word.from_node >= known.nodes.size() || known.nodes[word.from_node] != word.sender) {
    Log(Level::kWarn, "a peer speaks for a node that it is not",
        {{"step", ToString(known.step)}, {"peer", word.sender}, {"claims", word.from_node}});
    return;
  }
  if (!word.bytes.empty())
    entry.link->Send(StepFrame::kExchangeIn, StepExchange{word.from_node, std::move(word.bytes)});
  if (!word.gone.empty())
    entry.link->Send(StepFrame::kPeerGone, StepPeerGone{word.from_node, std::move(word.gone)});
}

void StepTable::PeerLost(const std::string& node, const std::string& reason) {
  for (auto& [id, entry] : steps_) {
    if (!entry->known.exchanges || !entry->attached) continue;
    for (std::uint32_t i = 0; i < entry->known.nodes.size(); ++i) {
      if (entry->known.nodes[i] == node && i != entry->known.node_index)
        entry->link->Send(StepFrame::kPeerGone, StepPeerGone{i, reason});
    }
  }
}

void StepTable::ArmHeldTimer() {
  if (held_timer_.value != 0) return;
  held_timer_ = loop_.After(std::chrono::seconds(30), [this] {
    held_timer_ = {};
    held_.DropOlder(loop_.Now());
    if (!held_.empty()) ArmHeldTimer();
  });
}

}  // namespace slipway
