// SPDX-License-Identifier: Apache-2.0
// PMIx's native security believes the uid that a client claims over loopback TCP, so another user of the node
// who guesses port, namespace and rank could join the job. libpmix offers no hook before it trusts a
// connection, but it calls accept(2), and the linker, static or dynamic, finds ours first: a connection whose
// socket does not belong to the job's user is closed before libpmix sees a byte (NETLINK_SOCK_DIAG says whose
// it is; a rank's user namespace does not matter to it).
//
// The same trick for read(2): each read on such a connection asks for an immediate ACK, without which Nagle
// on the client's side and the delayed ACK on ours cost every MPI_Finalize 40 ms.
//
// And a caller who connects and says nothing would stop libpmix's one thread: receiving from an accepted
// connection gives up after five seconds, as long as libpmix has it blocking.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include <optional>
#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway {

// From now on accept() of this process takes TCP connections of this uid only. Until it was called: of none.
void GuardAcceptedConnections(uid_t uid);
// Sees what passes on the accepted connections, on libpmix's threads; it must not block, and outlive them.
// (Greets: before libpmix knows who it is; Received: after.)
class ConnectionTap {
 public:
  virtual ~ConnectionTap() = default;
  virtual void Opened(int fd) = 0;
  virtual void Greets(int fd, std::string_view bytes) = 0;
  virtual void Received(int fd, char* bytes,
                        std::size_t size) = 0;  // may change them; size 0: its end, however
  // False: libpmix is not to see that end yet, and asks again in the next turn of its loop.
  virtual bool MayEnd(int fd) = 0;
  // About to be sent, of a message the first time; an answer is sent in its place.
  virtual std::optional<std::string> Sends(int fd, std::string_view header, std::string_view payload) = 0;
};
void TapAcceptedConnections(ConnectionTap* tap);  // null: no longer
// The accepted connection on which this thread has received a greeting last, -1: none.
int LastGreeted();
// Connections refused so far; for tests and the log.
std::uint64_t RefusedConnections();

}  // namespace slipway
