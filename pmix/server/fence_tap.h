// SPDX-License-Identifier: Apache-2.0
// libpmix tells its host of a fence when the last of the node's ranks has entered it, and of one within a
// node not even then: nobody could say which rank the others wait for. But the requests of the ranks come
// through guard.h's read(), and a fence is the one whose first byte says so: this notes who has asked for
// which fence and has no answer yet. What it does not understand (a client that packs integers another way,
// PMIx 3 and before) it leaves alone; it only ever looks.
//
// RequestStream is pure. FenceTap is libpmix's threads'; what it has seen it posts to the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop/loop.h"
#include "pmix/server/guard.h"
#include "pmix/server/pmix_server.h"

namespace slipway {

inline constexpr std::size_t kFenceRequestBytesMax = 64
                                                     << 10;  // of one longer than that the ranks are not read

// The ranks that a request names, if it is one for a fence; `payload` may be cut off behind them.
std::optional<std::vector<PmixPeer>> FenceRanksOf(std::string_view payload);

// What one client sends after its greeting, in pieces of any size.
class RequestStream {
 public:
  struct Fence {
    std::uint32_t tag = 0;  // the answer has it too
    std::vector<PmixPeer> ranks;
  };
  std::vector<Fence> Feed(std::string_view bytes);

 private:
  std::string header_, head_;
  std::size_t payload_left_ = 0;
};
// Of a message's first 16 bytes; nothing of fewer.
std::optional<std::uint32_t> TagOf(std::string_view header);

class FenceTap : public ConnectionTap {
 public:
  struct Events {  // on the loop's thread
    std::function<void(std::uint64_t id, const PmixPeer& peer, const std::vector<PmixPeer>& ranks)> entered;
    std::function<void(std::uint64_t id)> left;
  };
  FenceTap(Loop& loop, Events events) : loop_(loop), events_(std::move(events)) {}

  void Named(int fd, const PmixPeer& peer);  // who has greeted on that connection
  void Opened(int fd) override;
  void Received(int fd, std::string_view bytes) override;
  void Sends(int fd, std::string_view header) override;

 private:
  struct Connection {
    std::optional<PmixPeer> peer;
    RequestStream requests;
    std::map<std::uint32_t, std::uint64_t> open;  // tag → id
  };
  void Leave(std::uint64_t id);

  Loop& loop_;
  const Events events_;
  std::mutex mutex_;
  std::map<int, Connection> connections_;
  std::uint64_t last_id_ = 0;
};

}  // namespace slipway
