// SPDX-License-Identifier: Apache-2.0
#include "base/os/tcp.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <memory>

namespace slipway {
namespace {

constexpr unsigned kLostAfter_ms = 30'000;
constexpr int kBacklog = 4096;  // the kernel takes less where it is told to
constexpr char kEvery[] = "0.0.0.0";

void SetOption(int fd, int level, int name, unsigned value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

Result<UniqueFd> Listen(const TcpAddress& at, const std::string& where) {
  UniqueFd socket(::socket(at.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return ErrnoFail("socket", where);
  SetOption(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);  // after a restart; not beside another that listens
  if (at.storage.ss_family == AF_INET6) SetOption(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&at.storage), at.size) < 0)
    return ErrnoFail("bind", where);
  if (::listen(socket.get(), kBacklog) < 0) return ErrnoFail("listen", where);
  return socket;
}

}  // namespace

Result<std::vector<TcpAddress>> TcpAddressesOf(const std::string& where, HostNames names) {
  auto colon = where.rfind(':');
  if (colon == std::string::npos) return Fail(Code::kInvalidArgument, where, ": not host:port");
  std::string host = where.substr(0, colon), port = where.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICSERV | (names == HostNames::kNumbersOnly ? AI_NUMERICHOST : 0);
  addrinfo* found = nullptr;
  int error = host.empty() ? EAI_NONAME : ::getaddrinfo(host.c_str(), port.c_str(), &wanted, &found);
  if (error != 0) {
    bool number = names == HostNames::kNumbersOnly;
    return Fail(number ? Code::kInvalidArgument : Code::kNotFound, where, ": ", ::gai_strerror(error));
  }
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(found, ::freeaddrinfo);
  std::vector<TcpAddress> addresses;
  for (const addrinfo* at = all.get(); at != nullptr; at = at->ai_next) {
    TcpAddress& address = addresses.emplace_back();
    __builtin_memcpy(&address.storage, at->ai_addr, at->ai_addrlen);
    address.size = at->ai_addrlen;
  }
  if (addresses.empty()) return Fail(Code::kNotFound, where, ": no address");
  return addresses;
}

Result<UniqueFd> ListenTcp(const std::string& where) {
  if (where.starts_with(std::string(kEvery) + ":")) {
    auto six = TcpAddressesOf("[::]" + where.substr(sizeof kEvery - 1), HostNames::kNumbersOnly);
    auto both = six ? Listen(six->front(), where) : Result<UniqueFd>(Failure(six.error()));
    if (both) return both;
  }
  return Listen(TRY(TcpAddressesOf(where, HostNames::kLookUp)).front(), where);
}

Result<int> TcpPortOf(int socket_fd) {
  sockaddr_storage at{};
  socklen_t size = sizeof at;
  if (::getsockname(socket_fd, reinterpret_cast<sockaddr*>(&at), &size) < 0) return ErrnoFail("getsockname");
  return ntohs(at.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(at).sin6_port
                                        : reinterpret_cast<sockaddr_in&>(at).sin_port);
}

Result<UniqueFd> AcceptTcp(int listen_fd) {
  UniqueFd socket(::accept4(listen_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket && (errno == EAGAIN || errno == EWOULDBLOCK))
    return Fail(Code::kResourceExhausted, "nobody waits");
  if (!socket) return ErrnoFail("accept4");
  SetOption(socket.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  return socket;
}

Result<UniqueFd> StartConnectTcp(const TcpAddress& to) {
  UniqueFd socket(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return ErrnoFail("socket");
  SetOption(socket.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(socket.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, kLostAfter_ms);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to.storage), to.size) < 0 &&
      errno != EINPROGRESS)
    return ErrnoFail("connect");
  return socket;
}

}  // namespace slipway
