// SPDX-License-Identifier: Apache-2.0
#include "base/os/peer_owner.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstring>

#include "base/os/fd.h"

namespace slipway {
namespace {

struct Ends {
  sockaddr_in peer{}, ours{};
};

Result<Ends> EndsOf(int socket_fd) {
  Ends ends;
  socklen_t size = sizeof ends.peer;
  if (::getpeername(socket_fd, reinterpret_cast<sockaddr*>(&ends.peer), &size) < 0)
    return ErrnoFail("getpeername");
  size = sizeof ends.ours;
  if (::getsockname(socket_fd, reinterpret_cast<sockaddr*>(&ends.ours), &size) < 0)
    return ErrnoFail("getsockname");
  if (ends.peer.sin_family != AF_INET || ends.ours.sin_family != AF_INET)
    return Fail(Code::kUnimplemented, "not an IPv4 connection");
  return ends;
}

// Asks for the peer's own socket: its source is their address, its destination ours.
Result<uid_t> AskSockDiag(const Ends& ends) {
  UniqueFd netlink(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!netlink) return ErrnoFail("socket(NETLINK_SOCK_DIAG)");
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } query{};
  query.header.nlmsg_len = sizeof query;
  query.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  query.header.nlmsg_flags = NLM_F_REQUEST;
  query.request.sdiag_family = AF_INET;
  query.request.sdiag_protocol = IPPROTO_TCP;
  query.request.idiag_states = ~0U;
  query.request.id.idiag_sport = ends.peer.sin_port;
  query.request.id.idiag_dport = ends.ours.sin_port;
  query.request.id.idiag_src[0] = ends.peer.sin_addr.s_addr;
  query.request.id.idiag_dst[0] = ends.ours.sin_addr.s_addr;
  query.request.id.idiag_cookie[0] = query.request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  if (::send(netlink.get(), &query, sizeof query, 0) < 0) return ErrnoFail("send(NETLINK_SOCK_DIAG)");
  alignas(nlmsghdr) char answer[4096];
  ssize_t size = ::recv(netlink.get(), answer, sizeof answer, 0);
  if (size < static_cast<ssize_t>(sizeof(nlmsghdr))) return ErrnoFail("recv(NETLINK_SOCK_DIAG)");
  auto* header = reinterpret_cast<nlmsghdr*>(answer);
  if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
      size < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(inet_diag_msg)))) {
    return Fail(Code::kNotFound, "the kernel knows no such socket");
  }
  return static_cast<inet_diag_msg*>(NLMSG_DATA(header))->idiag_uid;
}

// For kernels without the diag modules.
Result<uid_t> AskProcNetTcp(const Ends& ends) {
  std::string table = TRY(ReadFile("/proc/net/tcp"));
  char wanted[64];
  std::snprintf(wanted, sizeof wanted, " %08X:%04X %08X:%04X ", ends.peer.sin_addr.s_addr,
                ntohs(ends.peer.sin_port), ends.ours.sin_addr.s_addr, ntohs(ends.ours.sin_port));
  auto at = table.find(wanted);
  if (at == std::string::npos) return Fail(Code::kNotFound, "/proc/net/tcp: no such socket");
  unsigned uid = 0;
  int fields = std::sscanf(table.c_str() + at + std::strlen(wanted), "%*x %*x:%*x %*x:%*x %*x %u", &uid);
  if (fields != 1) return Fail(Code::kInternal, "/proc/net/tcp: not understood");
  return uid;
}

}  // namespace

Result<uid_t> OwnerOfPeer(int socket_fd) {
  Ends ends = TRY(EndsOf(socket_fd));
  if (auto uid = AskSockDiag(ends)) return uid;
  return AskProcNetTcp(ends);
}

}  // namespace slipway
