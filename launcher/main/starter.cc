// SPDX-License-Identifier: Apache-2.0
// slipway-starter: makes a container without a daemon. Started by `slipway exec`:
//
//   slipway-starter exec FD [DIGEST [changes]]
//     the setuid way; an image of the root-owned store (a writable layer will lie over it), or one of the
//     user's own
//   slipway-starter rootless FD [root [NAME]|root-only]
//     with the caller's rights alone, also where it is setuid; what he is inside: root, with the ids that
//     /etc/subuid lends to NAME, or none; himself if nothing is said
//   slipway-starter import|import-as-is FD
//     setuid: the image in FD into the store; prints its digest
//
// exec and rootless: FD is the control socket on which the LaunchSpec arrives.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "launcher/broker/conf.h"
#include "launcher/container/birth.h"
#include "launcher/container/report.h"
#include "launcher/main/setuid.h"

namespace slipway {
namespace {

[[noreturn]] void Refuse(const char* line) {
  std::fprintf(stderr, "slipway-starter: %s\n", line);
  ::_exit(kStarterRefused);
}

int FdOf(const char* text) {
  char* end = nullptr;
  long fd = std::strtol(text, &end, 10);
  bool usable =
      end != text && *end == 0 && fd >= 3 && fd < 1 << 20 && ::fcntl(static_cast<int>(fd), F_GETFD) >= 0;
  return usable ? static_cast<int>(fd) : -1;
}

int ControlFd(const char* text) {
  int fd = FdOf(text), type = 0;
  socklen_t size = sizeof type;
  bool usable = fd >= 0 && ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
  return usable ? fd : -1;
}

std::optional<OwnNamespace> WantedOf(int argc, char** argv) {
  std::string_view who = argc > 3 ? argv[3] : "";
  if (who.empty()) return OwnNamespace{};
  if (who == "root") return OwnNamespace{Identity::kRoot, argc > 4 ? argv[4] : ""};
  if (who == "root-only" && argc == 4) return OwnNamespace{Identity::kRootOnly, ""};
  return std::nullopt;
}

// In a user namespace without the host's root his files, the conf too, belong to a stand-in, as "/" does.
// Rootless limits are a habit and no fence (launcher/spec/container_policy.h): that owner is believed.
uid_t OwnerOfTheHostsFiles() {
  constexpr uid_t kOverflowId = 65534;
  struct stat root;
  return ::stat("/", &root) == 0 && root.st_uid == kOverflowId ? kOverflowId : ::geteuid();
}

[[noreturn]] void ExecAsUser(int control_fd, const OwnNamespace& wanted) {
  if (IsSetuidRoot()) {
    auto dropped = [&]() -> Result<> { return BecomeForGood(TRY(CallerForPrivileged())); }();
    if (!dropped) Refuse(dropped.error().message.c_str());
  }
  // The front's end is ours, also while an image's own scripts keep us from looking at the socket.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  auto conf = LoadConf(kStarterConf, OwnerOfTheHostsFiles());
  if (!conf && conf.error().sys_errno != EACCES) Report(control_fd).Die(conf.error().message);
  RunRootless({.control_fd = control_fd, .policy = conf ? conf->container : ContainerPolicy()}, wanted);
}

[[noreturn]] void Main(int argc, char** argv) {
  std::string_view verb = argc > 2 ? argv[1] : "";
  int fd = argc > 2 ? (verb.starts_with("import") ? FdOf(argv[2]) : ControlFd(argv[2])) : -1;
  auto wanted = WantedOf(argc, argv);
  bool known = verb == "rootless" ? argc <= 5 && wanted : argc <= (verb == "exec" ? 5 : 3);
  if (fd < 0 || !known) Refuse("started by `slipway exec`, not by hand");
  if (verb == "rootless") ExecAsUser(fd, *wanted);
  if (!IsSetuidRoot())
    Refuse(
        "not setuid root for this caller (a nosuid mount? no_new_privs? root himself?): the rootless way "
        "remains");
  if (verb == "exec") ExecAsSetuid(fd, argc > 3 ? argv[3] : "", argc > 4);
  if (verb == "import" || verb == "import-as-is") ImportAsSetuid(fd, verb != "import");
  Refuse("started by `slipway exec`, not by hand");
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv) {
  slipway::DistrustCaller();
  slipway::Main(argc, argv);
}
