// SPDX-License-Identifier: Apache-2.0
// Over TCP a caller can say that it is anybody. Of a connection within this host the kernel knows whose
// socket the other end is, and tells by NETLINK_SOCK_DIAG (or /proc/net/tcp); a user namespace does not
// matter to it.
#pragma once

#include <sys/types.h>

#include "base/result/result.h"

namespace slipway {

// The uid that owns the other end of the connected TCP socket, which must be of this host and IPv4's. Any
// thread.
Result<uid_t> OwnerOfPeer(int socket_fd);

}  // namespace slipway
