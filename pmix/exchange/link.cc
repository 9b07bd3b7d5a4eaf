// SPDX-License-Identifier: Apache-2.0
#include "pmix/exchange/link.h"

#include <algorithm>

#include "base/wire/wire.h"

namespace slipway {
namespace {

constexpr std::uint32_t kTicksBeforeResend = 2;
constexpr std::uint32_t kAckEvery = 16;  // pieces: so that a long message does not pile up at its sender

struct LinkFrame {
  std::uint64_t sequence = 0;  // 0: nothing but an acknowledgement
  std::uint64_t acknowledged = 0;
  bool last = false;  // of its message
  std::string piece;
};
void Fields(auto& archive, IsA<LinkFrame> auto& v) { archive(v.sequence, v.acknowledged, v.last, v.piece); }

}  // namespace

void Link::Transmit(std::uint64_t sequence, bool last, const std::string& piece) {
  ack_owed_ = 0;
  transmit_(Encode(LinkFrame{.sequence = sequence, .acknowledged = received_, .last = last, .piece = piece}));
}

void Link::Send(std::string_view message) {
  do {
    std::string_view piece = message.substr(0, kLinkPieceBytesMax);
    message.remove_prefix(piece.size());
    unacknowledged_[++given_].piece = Piece{.last = message.empty(), .bytes = std::string(piece)};
  } while (!message.empty());
  TransmitWindow();
}

void Link::TransmitWindow() {
  while (sent_ < given_ && sent_ < unacknowledged_.begin()->first - 1 + kLinkPiecesInFlight) {
    const Piece& piece = unacknowledged_.at(++sent_).piece;
    Transmit(sent_, piece.last, piece.bytes);
  }
}

Result<> Link::Accept(bool last, std::string&& piece, std::vector<std::string>& out) {
  ++received_;
  ++ack_owed_;
  if (assembling_.size() + piece.size() > kLinkMessageBytesMax) {
    return Fail(Code::kResourceExhausted, "a message of more than ", kLinkMessageBytesMax, " bytes");
  }
  if (assembling_.empty()) {
    assembling_ = std::move(piece);
  } else {
    assembling_ += piece;
  }
  if (last) {
    out.push_back(std::move(assembling_));
    assembling_.clear();
  }
  return {};
}

Result<std::vector<std::string>> Link::Deliver(std::string_view bytes) {
  LinkFrame frame = TRY(Decode<LinkFrame>(bytes, "exchange frame"));
  if (frame.acknowledged > sent_)
    return Fail(Code::kInvalidArgument, "exchange frame: acknowledges what was never sent");
  unacknowledged_.erase(unacknowledged_.begin(), unacknowledged_.upper_bound(frame.acknowledged));
  TransmitWindow();
  std::vector<std::string> out;
  if (frame.sequence == 0) return out;
  if (frame.piece.size() > kLinkPieceBytesMax)
    return Fail(Code::kInvalidArgument, "exchange frame: too large");
  if (frame.sequence <= received_) {
    ++ack_owed_;  // it came before: our acknowledgement was lost
    return out;
  }
  if (frame.sequence > received_ + kLinkPiecesAhead) return out;
  ahead_.insert_or_assign(frame.sequence, Piece{.last = frame.last, .bytes = std::move(frame.piece)});
  while (!ahead_.empty() && ahead_.begin()->first == received_ + 1) {
    Piece piece = std::move(ahead_.begin()->second);
    ahead_.erase(ahead_.begin());
    TRY(Accept(piece.last, std::move(piece.bytes), out));
  }
  if (ack_owed_ >= kAckEvery) Transmit(0, false, {});
  return out;
}

void Link::Tick() {
  for (auto& [sequence, kept] : unacknowledged_) {
    if (sequence > sent_) break;
    if (++kept.ticks <= kTicksBeforeResend) continue;
    kept.ticks = 0;
    Transmit(sequence, kept.piece.last, kept.piece.bytes);
  }
  if (ack_owed_ > 0) Transmit(0, false, {});
}

void Link::Resend() {
  for (auto& [sequence, kept] : unacknowledged_) {
    if (sequence > sent_) break;
    kept.ticks = 0;
    Transmit(sequence, kept.piece.last, kept.piece.bytes);
  }
}

}  // namespace slipway
