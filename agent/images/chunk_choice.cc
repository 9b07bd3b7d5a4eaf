// SPDX-License-Identifier: Apache-2.0
#include "agent/images/chunk_choice.h"

#include <algorithm>

namespace slipway {
namespace {

// Asked of one at a time; of the controller few when others ask it too, so that what it gives is known to all
// before more is asked for.
constexpr std::uint32_t kPerPeer = 4, kPerController = 16;
constexpr Duration kBusyPause = std::chrono::milliseconds(200);
constexpr Duration kFirstPause = std::chrono::milliseconds(100), kLongestPause = std::chrono::seconds(16);
// The controller is never left alone for long: it may be all there is.
constexpr Duration kControllersLongestPause = std::chrono::seconds(1);

}  // namespace

ChunkChoice::ChunkChoice(std::uint32_t chunks, std::uint64_t seed)
    : chunks_(chunks, State::kMissing), sources_(1), missing_(chunks), chance_(seed) {
  sources_[kController].has.assign(chunks, true);
}

void ChunkChoice::Have(std::uint32_t chunk) {
  if (std::exchange(chunks_.at(chunk), State::kHere) != State::kHere) --missing_;
}

ChunkChoice::Source ChunkChoice::AddPeer() {
  sources_.push_back({.has = std::vector<bool>(chunks_.size())});
  return static_cast<Source>(sources_.size() - 1);
}

void ChunkChoice::SetShare(std::uint32_t askers, std::uint32_t place) {
  askers_ = std::max(askers, 1U);
  place_ = place % askers_;
}

void ChunkChoice::SetHas(Source peer, bool whole, const std::string& bits) {
  auto& has = sources_.at(peer).has;
  for (std::size_t i = 0; i < has.size(); ++i)
    has[i] = whole || (i / 8 < bits.size() && (static_cast<unsigned char>(bits[i / 8]) >> (i % 8) & 1) != 0);
}

bool ChunkChoice::Usable(Source source, MonotonicTime now) const {
  const Peer& peer = sources_.at(source);
  return !peer.unusable && peer.paused_until <= now;
}

bool ChunkChoice::AllUnusable() const {
  return std::all_of(sources_.begin(), sources_.end(), [](const Peer& peer) { return peer.unusable; });
}

std::uint32_t ChunkChoice::Rarity(std::uint32_t chunk) const {
  return static_cast<std::uint32_t>(
      std::count_if(sources_.begin() + 1, sources_.end(),
                    [&](const Peer& peer) { return !peer.unusable && peer.has[chunk]; }));
}

std::optional<ChunkChoice::Source> ChunkChoice::Giver(std::uint32_t chunk, MonotonicTime now) const {
  std::optional<Source> best;
  bool peers_have_it = false;
  for (Source source = 1; source < sources_.size(); ++source) {
    const Peer& peer = sources_[source];
    if (!peer.has[chunk] || !Usable(source, now)) continue;
    peers_have_it = true;
    if (peer.in_flight >= kPerPeer) continue;
    if (!best || peer.in_flight < sources_[*best].in_flight) best = source;
  }
  if (peers_have_it) return best;  // or nobody for now: the controller is for what only it can give
  std::uint32_t most = askers_ > 3 ? 1 : askers_ > 1 ? 2 : kPerController;
  if ((Ours(chunk) || in_flight_ == 0) && Usable(kController, now) && sources_[kController].in_flight < most)
    return kController;
  return std::nullopt;
}

std::optional<ChunkChoice::Task> ChunkChoice::Next(MonotonicTime now) {
  std::optional<Task> best;
  // First what is ours to take, then what is rare.
  std::pair<bool, std::uint32_t> best_rank;
  std::uint32_t equals = 0;
  for (std::uint32_t chunk = 0; chunk < chunks_.size(); ++chunk) {
    if (chunks_[chunk] != State::kMissing) continue;
    auto giver = Giver(chunk, now);
    if (!giver) continue;
    std::pair rank{*giver == kController && !Ours(chunk), Rarity(chunk)};
    if (best && rank > best_rank) continue;
    equals = best && rank == best_rank ? equals + 1 : 1;
    if (equals > 1 && chance_() % equals != 0) continue;
    best = Task{chunk, *giver};
    best_rank = rank;
  }
  if (!best) return std::nullopt;
  chunks_[best->chunk] = State::kAsked;
  ++sources_[best->source].in_flight;
  ++in_flight_;
  return best;
}

void ChunkChoice::Ended(const Task& task, Outcome outcome, MonotonicTime now) {
  Peer& source = sources_.at(task.source);
  --source.in_flight;
  --in_flight_;
  if (outcome == Outcome::kCame)
    Have(task.chunk);
  else if (chunks_[task.chunk] == State::kAsked)
    chunks_[task.chunk] = State::kMissing;
  switch (outcome) {
    case Outcome::kCame:
      source.failures = 0;
      break;
    case Outcome::kBusy:
      source.paused_until = now + kBusyPause;
      break;
    case Outcome::kLacks:
      source.has[task.chunk] = false;
      break;
    case Outcome::kFailed:
      SourceFailed(task.source, now);
      break;
    case Outcome::kWrong:
      break;
    case Outcome::kUnusable:
      source.unusable = true;
      break;
  }
}

void ChunkChoice::SourceFailed(Source source, MonotonicTime now) {
  Peer& peer = sources_.at(source);
  Duration longest = source == kController ? kControllersLongestPause : kLongestPause;
  peer.paused_until = now + std::min<Duration>(kFirstPause * (1U << std::min(peer.failures, 10U)), longest);
  ++peer.failures;
}

}  // namespace slipway
