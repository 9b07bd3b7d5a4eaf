// SPDX-License-Identifier: Apache-2.0
// libpmix tells its host of a fence when the last of the node's ranks has entered it, and of one within a
// node not even then: nobody could say which rank the others wait for. And since 4.2.4 what a client and its
// server say of a group has its members in it, which an older server neither says nor understands: Open MPI 5
// could make no communicator of an MPI session over Debian 12's libpmix. And of a rank that is gone it says
// so only after it has told its host of the fence that no longer waits for it, which may be over by then. And
// of two ranks that are gone in one turn of its loop it ends a fence within the node twice, the second time
// with memory that it has given back (4.2.2, seen with valgrind: the heap was broken, and stepd with it). All
// of that passes through guard.h's read() and writev(): this notes who has asked for which fence and has no
// answer yet, and who has let go, before libpmix knows; lets it know of one end a turn; and translates those
// two messages between a newer client and an older server. All else passes as it is.
//
// Called by libpmix's threads; the events are posted to the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop/loop.h"
#include "pmix/server/client_requests.h"
#include "pmix/server/guard.h"
#include "pmix/server/pmix_server.h"

namespace slipway {

class ClientTap : public ConnectionTap {
 public:
  struct Events {  // on the loop's thread; entered and left both, or neither where nobody asks
    std::function<void(std::uint64_t id, const PmixPeer& peer, const std::vector<PmixPeer>& ranks)> entered;
    std::function<void(std::uint64_t id)> left;
    // The last connection of one that had not finalized is gone.
    std::function<void(const PmixPeer& peer)> lost;
  };
  // `mends_groups`: this libpmix leaves the members out.
  ClientTap(Loop& loop, Events events, bool mends_groups)
      : loop_(loop), events_(std::move(events)), mends_groups_(mends_groups) {}

  void Named(int fd, const PmixPeer& peer);  // who has greeted on that connection
  void Finalized(const PmixPeer& peer);
  void Opened(int fd) override;
  void Greets(int fd, std::string_view bytes) override;
  void Received(int fd, char* bytes, std::size_t size) override;
  bool MayEnd(int fd) override;
  std::optional<std::string> Sends(int fd, std::string_view header, std::string_view payload) override;

 private:
  struct Connection {
    std::optional<PmixPeer> peer;
    bool finalized = false;
    std::string greeting;
    bool wants_members = false;
    unsigned put_off = 0;           // how often its end was
    std::uint64_t served_then = 0;  // served_ when it was last
    RequestStream requests;
    std::map<std::uint32_t, std::uint64_t> open;  // tag of a fence → id
    std::map<std::uint32_t, std::string> groups;  // tag of a group in the making → its members
  };
  void See(Connection& from, const RequestStream::Request& request);
  void Leave(std::uint64_t id);
  void End(const Connection& connection);

  Loop& loop_;
  const Events events_;
  const bool mends_groups_;
  std::mutex mutex_;
  std::map<int, Connection> connections_;
  std::uint64_t last_id_ = 0;
  std::uint64_t served_ = 0;  // messages and ends that libpmix was given
};

}  // namespace slipway
