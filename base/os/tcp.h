// SPDX-License-Identifier: Apache-2.0
// TCP between hosts: "host:port", "10.0.0.1:6822", "[fd00::1]:6822" to sockets that never block.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/result/result.h"

namespace slipway {

struct TcpAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};
enum class HostNames {
  kNumbersOnly,  // never waits; kInvalidArgument for a name
  kLookUp,       // may wait for a name server: not on a loop's thread
};
// Each at least one; kInvalidArgument or kNotFound names `where`.
Result<std::vector<TcpAddress>> TcpAddressesOf(const std::string& where, HostNames names);

// Port 0 takes a free one. "0.0.0.0" also takes IPv6 where the host has it. Nobody shares the port.
Result<UniqueFd> ListenTcp(const std::string& where);
Result<int> TcpPortOf(int socket_fd);
// The next that waits; kResourceExhausted (EAGAIN) when there is none. Without Nagle's delay.
Result<UniqueFd> AcceptTcp(int listen_fd);
// It becomes writable when it is connected or has failed (SO_ERROR). Without Nagle's delay; fails when the
// peer acknowledges nothing for 30 s.
Result<UniqueFd> StartConnectTcp(const TcpAddress& to);

}  // namespace slipway
