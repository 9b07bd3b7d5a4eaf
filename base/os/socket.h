// SPDX-License-Identifier: Apache-2.0
// Processes of one node talk over Unix SEQPACKET sockets: one send is one message, descriptors travel with
// it, and the kernel says who is at the other end. These are the only calls that do so.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/result/result.h"

namespace slipway {

// A message may not be larger than this, nor carry more descriptors (the kernel's own bound is 253).
inline constexpr std::size_t kMessageBytesMax = 128 * 1024;
inline constexpr std::size_t kMessageFdsMax = 250;

struct Message {
  std::string bytes;
  std::vector<UniqueFd> fds;  // all O_CLOEXEC
};

struct SocketEnds {
  UniqueFd a, b;
};
Result<SocketEnds> MakeSocketPair(int type /* SOCK_SEQPACKET or SOCK_STREAM */);

// `path` is unlinked first; the socket gets `mode`. Paths over 107 bytes go by way of /proc/self/fd of the
// folder.
Result<UniqueFd> ListenUnix(const std::string& path, int type, unsigned mode);
Result<UniqueFd> ConnectUnix(const std::string& path, int type);
Result<UniqueFd> AcceptUnix(int listen_fd);

struct PeerIdentity {
  pid_t pid;
  uid_t uid;
  gid_t gid;
};
// As the kernel recorded it at connect time (SO_PEERCRED), true through any user namespace of this or a child
// level. The overflow uid (a stranger to our namespace) is refused.
Result<PeerIdentity> PeerOf(int socket_fd);
// The same of the supplementary groups (SO_PEERGROUPS, Linux 4.13).
Result<std::vector<std::uint32_t>> PeerGroups(int socket_fd);

// One message, whole or not at all; waits while the peer's buffer is full unless the socket is non-blocking.
Result<> SendMessage(int socket_fd, std::string_view bytes, const std::vector<int>& fds = {});
// The next message. kUnavailable "closed" when the peer has gone; kResourceExhausted (EAGAIN) when a
// non-blocking socket has none; a truncated message is refused and its descriptors are closed.
Result<Message> ReceiveMessage(int socket_fd);

// Tells the service manager that started us (its socket is in $NOTIFY_SOCKET) that we serve now, so that what
// is ordered after us finds us there. Without one, nothing happens.
void NotifyReady();

}  // namespace slipway
