// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/namespaces.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "base/os/fd.h"

namespace slipway {
namespace {

// A new network namespace has a loopback device, but does not bring it up.
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

}  // namespace

Result<> EnterFurtherNamespaces(const LaunchSpec& spec) {
  if ((spec.uts_namespace || !spec.hostname.empty()) && ::unshare(CLONE_NEWUTS) < 0)
    return ErrnoFail("making a UTS namespace", spec.hostname);
  if (!spec.hostname.empty() && ::sethostname(spec.hostname.c_str(), spec.hostname.size()) < 0)
    return ErrnoFail("sethostname", spec.hostname);
  if (spec.net_namespace) return EnterLonelyNetwork();
  return {};
}

}  // namespace slipway
