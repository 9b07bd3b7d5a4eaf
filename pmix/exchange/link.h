// SPDX-License-Identifier: Apache-2.0
// Between two stepds lie two agents, either of which may be killed with frames in its hands; and a gigabyte
// of modex data must not become one frame. Link gives the exchange what it needs over that: every message
// exactly once and in order, or nothing. Messages are cut into pieces, numbered, kept until the peer has
// acknowledged them and sent again when it does not.
//
// Pure: bytes go out through the function given, come in by Deliver; time is Tick.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway {

inline constexpr std::size_t kLinkPieceBytesMax = 1 << 20;
inline constexpr std::size_t kLinkMessageBytesMax = 512 << 20;
inline constexpr std::size_t kLinkPiecesAhead =
    1024;  // that many out of order are kept, later ones wait to be sent again
inline constexpr std::size_t kLinkPiecesInFlight =
    32;  // so that a large message does not drown who carries it

// One direction pair with one peer.
class Link {
 public:
  explicit Link(std::function<void(std::string bytes)> transmit) : transmit_(std::move(transmit)) {}

  void Send(std::string_view message);
  // Whole messages that these bytes complete, in order. An error means that the peer does not speak this
  // protocol.
  Result<std::vector<std::string>> Deliver(std::string_view bytes);
  // Acknowledges what is owed; sends again what the peer has not acknowledged for two ticks.
  void Tick();
  // The way was broken and stands again: everything not acknowledged goes out once more.
  void Resend();
  bool wants_tick() const { return ack_owed_ > 0 || !unacknowledged_.empty(); }

 private:
  void Transmit(std::uint64_t sequence, bool last, const std::string& piece);
  void TransmitWindow();
  Result<> Accept(bool last, std::string&& piece, std::vector<std::string>& out);

  struct Piece {
    bool last = false;
    std::string bytes;
  };
  struct Unacknowledged {
    Piece piece;
    std::uint32_t ticks = 0;  // since it was sent last
  };
  std::function<void(std::string)> transmit_;
  std::uint64_t given_ = 0;     // the newest number given
  std::uint64_t sent_ = 0;      // the newest that has gone out
  std::uint64_t received_ = 0;  // everything up to it has come
  std::uint32_t ack_owed_ = 0;  // pieces that came since we last said so
  std::map<std::uint64_t, Unacknowledged> unacknowledged_;
  std::map<std::uint64_t, Piece> ahead_;
  std::string assembling_;
};

}  // namespace slipway
