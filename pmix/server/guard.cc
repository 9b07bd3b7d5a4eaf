// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/guard.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <atomic>

#include "base/os/peer_owner.h"

namespace slipway {
namespace {

constexpr std::int64_t kNobody = -1;
constexpr int kMarkedFdsMax = 65536;
constexpr int kGreetingSeconds = 5;
std::atomic<std::int64_t> g_allowed_uid{kNobody};
std::atomic<std::uint64_t> g_refused{0};
// Descriptors that came out of accept(). One that was closed and used again keeps its mark, which costs its
// reads a failing setsockopt and nothing else.
std::atomic<bool> g_marked[kMarkedFdsMax];
std::atomic<ConnectionTap*> g_tap{nullptr};
thread_local int g_greeted = -1;

bool Marked(int fd) { return fd >= 0 && fd < kMarkedFdsMax && g_marked[fd].load(std::memory_order_relaxed); }
ConnectionTap* TapOf(int fd) { return Marked(fd) ? g_tap.load(std::memory_order_acquire) : nullptr; }

bool MayConnect(int socket_fd) {
  std::int64_t allowed = g_allowed_uid.load();
  if (allowed == kNobody) return false;
  auto owner = OwnerOfPeer(socket_fd);
  return owner && static_cast<std::int64_t>(*owner) == allowed;
}

// libpmix would count what is left of its own message: this one goes out whole. False: errno says why not.
bool SendAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return false;
    pollfd writable{.fd = fd, .events = POLLOUT};
    if (::poll(&writable, 1, kGreetingSeconds * 1000) != 1) {
      ::shutdown(
          fd, SHUT_RDWR);  // it does not read, and others wait; half a message must not be followed by more
      errno = EPIPE;
      return false;
    }
  }
  return true;
}

}  // namespace

void GuardAcceptedConnections(uid_t uid) { g_allowed_uid.store(uid); }
void TapAcceptedConnections(ConnectionTap* tap) { g_tap.store(tap, std::memory_order_release); }
int LastGreeted() { return g_greeted; }
std::uint64_t RefusedConnections() { return g_refused.load(); }

}  // namespace slipway

extern "C" {

// libpmix's listener goes on after ECONNABORTED; any other errno would end it.
__attribute__((visibility("default"))) int accept(int listen_fd, sockaddr* address, socklen_t* size) {
  using namespace slipway;
  int fd = static_cast<int>(::syscall(SYS_accept4, listen_fd, address, size, SOCK_CLOEXEC));
  if (fd < 0) return fd;
  if (!MayConnect(fd)) {
    ::close(fd);
    g_refused.fetch_add(1);
    errno = ECONNABORTED;
    return -1;
  }
  int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
  // libpmix waits for a caller's greeting on the thread that serves all others.
  timeval patience{.tv_sec = kGreetingSeconds, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (fd < kMarkedFdsMax) g_marked[fd].store(true, std::memory_order_relaxed);
  if (ConnectionTap* tap = TapOf(fd)) tap->Opened(fd);
  return fd;
}

__attribute__((visibility("default"))) ssize_t read(int fd, void* buffer, size_t size) {
  using namespace slipway;
  ssize_t got = ::syscall(SYS_read, fd, buffer, size);
  if (!Marked(fd)) return got;
  int saved = errno, on = 1;
  if (got > 0) ::setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
  ConnectionTap* tap = TapOf(fd);
  bool later = got < 0 && (saved == EAGAIN || saved == EINTR);
  if (!later && size > 0 && tap != nullptr) {
    if (got <= 0 && !tap->MayEnd(fd)) {
      errno = EAGAIN;
      return -1;
    }
    tap->Received(fd, static_cast<char*>(buffer), got < 0 ? 0 : static_cast<std::size_t>(got));
  }
  errno = saved;
  return got;
}

// libpmix is greeted through recv and talks by read and writev.
__attribute__((visibility("default"))) ssize_t recv(int fd, void* buffer, size_t size, int flags) {
  using namespace slipway;
  ssize_t got = ::recvfrom(fd, buffer, size, flags, nullptr, nullptr);
  if (!Marked(fd)) return got;
  g_greeted = fd;
  ConnectionTap* tap = TapOf(fd);
  if (got > 0 && tap != nullptr)
    tap->Greets(fd, {static_cast<const char*>(buffer), static_cast<std::size_t>(got)});
  return got;
}

__attribute__((visibility("default"))) ssize_t writev(int fd, const iovec* parts, int count) {
  using namespace slipway;
  ConnectionTap* tap = TapOf(fd);
  if (tap == nullptr || count < 1 || count > 2) return ::syscall(SYS_writev, fd, parts, count);
  auto bytes = [&](int i) {
    return i < count ? std::string_view(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len)
                     : std::string_view();
  };
  auto whole = static_cast<ssize_t>(bytes(0).size() + bytes(1).size());
  auto instead = tap->Sends(fd, bytes(0), bytes(1));
  ssize_t sent = 0;
  if (instead) {
    sent = SendAll(fd, *instead) ? whole : -1;
  } else {
    sent = ::syscall(SYS_writev, fd, parts, count);
  }
  // Nobody is there to have it. That is for the next read to say, when libpmix may see it (MayEnd).
  bool gone = sent < 0 && (errno == EPIPE || errno == ECONNRESET);
  return gone ? whole : sent;
}
}
