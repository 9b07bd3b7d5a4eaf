// SPDX-License-Identifier: Apache-2.0
#include "base/os/socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

namespace slipway {

Result<SocketEnds> MakeSocketPair(int type) {
  int ends[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0) return ErrnoFail("socketpair");
  return SocketEnds{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

namespace {

// sun_path holds 107 bytes and a NUL; a longer path is reached through a descriptor of its folder, which
// `keep` holds until the call is over.
Result<sockaddr_un> AddressOf(const std::string& path, UniqueFd& keep) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string usable = path;
  if (path.size() >= sizeof address.sun_path) {
    auto slash = path.rfind('/');
    if (slash == std::string::npos) return Fail(Code::kInvalidArgument, "socket path too long: ", path);
    keep = TRY(Open(path.substr(0, slash), O_PATH | O_DIRECTORY));
    usable = Cat("/proc/self/fd/", keep.get(), path.substr(slash));
    if (usable.size() >= sizeof address.sun_path)
      return Fail(Code::kInvalidArgument, "socket name too long: ", path);
  }
  std::memcpy(address.sun_path, usable.c_str(), usable.size() + 1);
  return address;
}

}  // namespace

Result<UniqueFd> ListenUnix(const std::string& path, int type, unsigned mode) {
  UniqueFd keep;
  sockaddr_un address = TRY(AddressOf(path, keep));
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoFail("socket");
  ::unlink(path.c_str());
  // The socket is unreachable to others until chmod: it is made 0600.
  mode_t old = ::umask(0177);
  int bound = ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  int bind_errno = errno;
  ::umask(old);
  errno = bind_errno;
  if (bound < 0) return ErrnoFail("bind", path);
  if (::listen(fd.get(), 128) < 0) return ErrnoFail("listen", path);
  if (::chmod(path.c_str(), mode) < 0) return ErrnoFail("chmod", path);
  return fd;
}

Result<UniqueFd> ConnectUnix(const std::string& path, int type) {
  UniqueFd keep;
  sockaddr_un address = TRY(AddressOf(path, keep));
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoFail("socket");
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
    return ErrnoFail("connect to", path);
  return fd;
}

Result<UniqueFd> AcceptUnix(int listen_fd) {
  UniqueFd fd(::accept4(listen_fd, nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd) return ErrnoFail("accept");
  return fd;
}

Result<PeerIdentity> PeerOf(int socket_fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
    return ErrnoFail("getsockopt(SO_PEERCRED)");
  constexpr uid_t kOverflowUid = 65534;
  if (peer.uid == kOverflowUid || peer.uid == static_cast<uid_t>(-1)) {
    return Fail(
        Code::kPermissionDenied,
        "the caller's user id is not known here (overflow uid): it comes from a foreign user namespace");
  }
  return PeerIdentity{peer.pid, peer.uid, peer.gid};
}

Result<std::vector<std::uint32_t>> PeerGroups(int socket_fd) {
  constexpr int kSoPeerGroups = 59;  // SO_PEERGROUPS, Linux 4.13
  std::vector<std::uint32_t> groups(128);
  for (;;) {
    auto size = static_cast<socklen_t>(groups.size() * sizeof(groups[0]));
    bool got = ::getsockopt(socket_fd, SOL_SOCKET, kSoPeerGroups, groups.data(), &size) == 0;
    bool larger = !got && errno == ERANGE && size > groups.size() * sizeof(groups[0]);
    if (!got && !larger) return ErrnoFail("getsockopt(SO_PEERGROUPS)");
    groups.resize(size / sizeof(groups[0]));
    if (got) return groups;
  }
}

Result<> SendMessage(int socket_fd, std::string_view bytes, const std::vector<int>& fds) {
  if (bytes.size() > kMessageBytesMax)
    return Fail(Code::kOutOfRange, "message of ", bytes.size(), " bytes, at most ", kMessageBytesMax);
  if (fds.size() > kMessageFdsMax)
    return Fail(Code::kOutOfRange, "message with ", fds.size(), " descriptors, at most ", kMessageFdsMax);
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMessageFdsMax * sizeof(int))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* first = CMSG_FIRSTHDR(&header);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(first), fds.data(), fds.size() * sizeof(int));
  }
  ssize_t sent;
  do {
    sent = ::sendmsg(socket_fd, &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return ErrnoFail("sendmsg");
  return {};
}

Result<Message> ReceiveMessage(int socket_fd) {
  // Left as it is: to clear it, and to touch all of it, would cost more than the call.
  auto buffer = std::make_unique_for_overwrite<char[]>(kMessageBytesMax);
  iovec part{buffer.get(), kMessageBytesMax};
  alignas(cmsghdr) char control[CMSG_SPACE(kMessageFdsMax * sizeof(int))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t got;
  // A peer that closes before it has read all that we sent is reported once as a reset, ahead of what it
  // said.
  bool reset = false;
  do {
    got = ::recvmsg(socket_fd, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && (errno == EINTR || (errno == ECONNRESET && !std::exchange(reset, true))));
  if (got < 0) return ErrnoFail("recvmsg");
  Message message;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      message.fds.emplace_back(fd);
    }
  }
  if (got == 0 && message.fds.empty()) return Fail(Code::kUnavailable, "closed");
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return Fail(Code::kOutOfRange, "message larger than ", kMessageBytesMax, " bytes");
  message.bytes.assign(buffer.get(), static_cast<std::size_t>(got));
  return message;
}

void NotifyReady() {
  const char* set = std::getenv("NOTIFY_SOCKET");
  if (set == nullptr) return;
  std::string path = set;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';  // an abstract name
  auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  constexpr std::string_view kReady = "READY=1";
  // A manager that does not listen ends our start by its own deadline; there is nobody else to tell.
  [[maybe_unused]] auto sent = ::sendto(fd.get(), kReady.data(), kReady.size(), MSG_NOSIGNAL,
                                        reinterpret_cast<sockaddr*>(&address), length);
}

}  // namespace slipway
