// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/network.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "base/os/fd.h"

namespace slipway {

Result<> EnterLonelyNetwork() {
  if (::unshare(CLONE_NEWNET) < 0) return ErrnoFail("making a network namespace");
  UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return ErrnoFail("socket");
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
  request.ifr_flags = IFF_UP;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) < 0) return ErrnoFail("bringing the loopback device up");
  return {};
}

}  // namespace slipway
