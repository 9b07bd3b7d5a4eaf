// SPDX-License-Identifier: Apache-2.0
// The part of StepTable that carries what passes between a running stepd and the rest of the world: output
// under the controller's credit, and the exchange with the step's other nodes.
#include <algorithm>

#include "agent/steps/step_table.h"
#include "agent/steps/user_word.h"
#include "base/log/log.h"

namespace slipway {
namespace {

constexpr std::size_t kOutputPieceBytesMax = 64 << 10;
// stepd's own window (output_pump.h), twice since a new connection opens a new one, and room for empty
// pieces.
constexpr std::size_t kHeldOutputBytesMax = 4 << 20;
constexpr std::uint32_t kCreditBytesMin = 64 << 10;  // smaller grants to stepd are saved up

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
    case StepFrame::kRendezvousOut:
      return OnRendezvous(*entry, payload);
    case StepFrame::kEnded:
      Perform(step, entry->machine.OnResult(TRY(ReadStepResult(payload, step, entry->known.ranks))));
      return {};
    default:
      return Fail(Code::kInvalidArgument, "stepd sent a frame of unknown kind ", static_cast<int>(kind));
  }
}

void StepTable::OnAttached(const StepId& step, Entry& entry, const StepState& state) {
  entry.attached = true;
  entry.stepd_owed = 0;  // each connection opens a whole new window
  for (const StepStdin& input : entry.early_input) entry.link->Send(StepFrame::kStdin, input);
  entry.early_input.clear();
  entry.early_input_bytes = 0;
  for (PeerWord& word : held_.Take(step)) Deliver(entry, std::move(word));
  Perform(step, entry.machine.OnState(state));
}

void StepTable::OnOutput(const StepId& step, Entry& entry, StepOutput output) {
  if (!entry.known.streams) {  // nobody asked for any
    if (!output.bytes.empty())
      entry.link->Send(StepFrame::kCredit, static_cast<std::uint32_t>(output.bytes.size()));
    return;
  }
  entry.held_bytes += output.bytes.size() + 64;  // empty ones count too
  entry.held_output.push_back(std::move(output));
  SendOutput(step, entry);
  // stepd keeps to its window; one that does not is left waiting.
  if (entry.held_bytes > kHeldOutputBytesMax && entry.link) entry.link->Pause(true);
}

void StepTable::SendOutput(const StepId& step, Entry& entry) {
  while (connected_ && !entry.held_output.empty()) {
    StepOutput& first = entry.held_output.front();
    std::size_t size =
        std::min<std::size_t>({first.bytes.size(), entry.output_allowed, kOutputPieceBytesMax});
    if (size == 0 && !first.bytes.empty()) break;
    StepOutput piece{first.rank, first.stream, first.bytes.substr(0, size)};
    bool whole = size == first.bytes.size();
    entry.output_allowed -= size;
    entry.stepd_owed += static_cast<std::uint32_t>(size);
    entry.held_bytes -= size + (whole ? 64 : 0);
    if (whole) {
      entry.held_output.pop_front();
    } else {
      first.bytes.erase(0, size);
    }
    events_.output(std::move(piece), step);
  }
  if (entry.attached &&
      (entry.stepd_owed >= kCreditBytesMin || (entry.stepd_owed > 0 && entry.held_output.empty()))) {
    entry.link->Send(StepFrame::kCredit, entry.stepd_owed);
    entry.stepd_owed = 0;
  }
  if (entry.held_bytes <= kHeldOutputBytesMax / 2 && entry.link) entry.link->Pause(false);
  if (entry.end_waits && entry.held_output.empty()) Report(step, entry);
}

void StepTable::DropOutput(Entry& entry) {
  entry.held_output.clear();
  entry.held_bytes = 0;
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
  events_.to_peer(entry.known, exchange.node, {.bytes = std::move(exchange.bytes)});
  return {};
}

void StepTable::FromPeer(const StepId& step, PeerWord word) {
  if (word.bytes.size() > kExchangeBytesMax) return;
  word.gone = OneLine(word.gone);
  if (word.from_step) return FromStep(step, std::move(word));
  Entry* entry = Find(step);
  if (entry != nullptr && entry->attached) return Deliver(*entry, std::move(word));
  if (entry != nullptr && entry->machine.news().last()) return;
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
    entry.link->SendSoon(StepFrame::kExchangeIn, StepExchange{word.from_node, std::move(word.bytes)});
  if (!word.gone.empty())
    entry.link->Send(StepFrame::kPeerGone,
                     StepPeerGone{word.from_node, std::move(word.gone), word.ends_told});
}

void StepTable::PeerLost(const std::string& node, const std::string& reason) {
  for (auto& [id, entry] : steps_) {
    RendezvousLost(*entry, node, reason);
    if (!entry->known.exchanges || !entry->attached) continue;
    for (std::uint32_t i = 0; i < entry->known.nodes.size(); ++i) {
      if (entry->known.nodes[i] == node && i != entry->known.node_index)
        entry->link->Send(StepFrame::kPeerGone, StepPeerGone{i, reason, false});
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
