// SPDX-License-Identifier: Apache-2.0
// `slipway exec` has no daemon to ask: it starts this program, which becomes the container's init. For now it
// is the rootless way only.
//
//   slipway-starter CONTROL_FD [root [NAME]|root-only]
//
// CONTROL_FD: init_protocol.h on a SEQPACKET socket. root: what the user is inside, with the ids that
// /etc/subuid lends to NAME, or none; himself if nothing is said.
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "launcher/container/birth.h"
#include "launcher/container/report.h"

namespace {

[[noreturn]] void Refuse(const char* line) {
  std::fprintf(stderr, "slipway-starter: %s\n", line);
  ::_exit(slipway::kStarterRefused);
}

int ControlFd(int argc, char** argv) {
  if (argc < 2 || argc > 4) return -1;
  char* end = nullptr;
  long fd = std::strtol(argv[1], &end, 10);
  int type = 0;
  socklen_t size = sizeof type;
  bool usable = end != argv[1] && *end == 0 && fd >= 3 && fd < 1 << 20 &&
                ::getsockopt(static_cast<int>(fd), SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
                type == SOCK_SEQPACKET;
  return usable ? static_cast<int>(fd) : -1;
}

std::optional<slipway::OwnNamespace> WantedOf(int argc, char** argv) {
  slipway::OwnNamespace wanted;
  if (argc > 3) wanted.user_name = argv[3];
  if (argc < 3) return wanted;
  if (std::strcmp(argv[2], "root") == 0) {
    wanted.identity = slipway::Identity::kRoot;
  } else if (std::strcmp(argv[2], "root-only") == 0) {
    wanted.identity = slipway::Identity::kRootOnly;
  } else {
    return std::nullopt;
  }
  return wanted;
}

}  // namespace

int main(int argc, char** argv) {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (::getauxval(AT_SECURE) != 0 || ::getuid() != ::geteuid() || ::getgid() != ::getegid()) {
    Refuse(
        "installed with privilege (setuid, setgid or file capabilities), which this version does not use: "
        "chmod 0755 it");
  }
  int control = ControlFd(argc, argv);
  auto wanted = WantedOf(argc, argv);
  if (control < 0 || !wanted) Refuse("started by `slipway exec`, not by hand: it needs a control socket");
  // The front's end is ours, also while an image's own scripts keep us from looking at the socket.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  slipway::Birth birth;
  birth.control_fd = control;
  slipway::RunRootless(birth, *wanted);
}
