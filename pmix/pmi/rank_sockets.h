// SPDX-License-Identifier: Apache-2.0
// Each rank has a socket of its own to the host of its PMI (its number is in $PMI_FD), which is open in the
// rank before its program starts. This owns our ends. A rank that does not read what it asked for is cut off.
//
// Loop's thread only; callbacks may call back in.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/loop/loop.h"
#include "base/os/fd.h"

namespace slipway {

class RankSockets {
 public:
  struct Events {
    std::function<void(std::uint32_t rank, std::string_view bytes)> received;
    std::function<void(std::uint32_t rank)> closed;  // once; after the last `received`
  };
  RankSockets(Loop& loop, Events events) : loop_(loop), events_(std::move(events)) {}
  ~RankSockets();
  RankSockets(const RankSockets&) = delete;
  RankSockets& operator=(const RankSockets&) = delete;

  // The rank's end.
  Result<UniqueFd> Open(std::uint32_t rank);
  // Instead: the end of a connection that the rank has made. Non-blocking.
  Result<> Adopt(std::uint32_t rank, UniqueFd fd);
  void Send(std::uint32_t rank, std::string bytes);

 private:
  static constexpr std::size_t kUnreadBytesMax = 1 << 20;
  struct Ours {
    UniqueFd fd;
    Loop::WatchId watch;
    std::string outgoing;
  };
  void OnSocket(std::uint32_t rank, std::uint32_t epoll_events);
  bool Flush(Ours& ours);
  void Close(std::uint32_t rank);

  Loop& loop_;
  const Events events_;
  std::map<std::uint32_t, Ours> sockets_;
};

}  // namespace slipway
