// SPDX-License-Identifier: Apache-2.0
// `slipway exec --memory 2G …`: started by it, as its user, this puts it into a systemd scope with the limits
// and says where that is; and `slipway dev up` into one that is delegated. No privilege is involved: what the
// user's systemd does not do is not done.
//
//   slipway-scope PID LIMIT=NUMBER…      stdout: "cgroup FOLDER-BELOW-THE-MOUNT" or "error LINE"
//   slipway-scope PID delegated
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "base/os/fd.h"
#include "base/os/mountinfo.h"
#include "launcher/scope/scope.h"

namespace slipway {
namespace {

std::string UnitName(pid_t pid, bool delegated) {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) < 0) random = 0;
  return Cat("slipway-", delegated ? "cluster-" : "", pid, "-", random, ".scope");
}

Result<std::string> Main(int argc, char** argv) {
  if (argc < 3) return Fail(Code::kInvalidArgument, "usage: slipway-scope PID LIMIT=NUMBER…|delegated");
  char* end = nullptr;
  long pid = std::strtol(argv[1], &end, 10);
  if (*end != 0 || pid <= 1) return Fail(Code::kInvalidArgument, "'", argv[1], "' is no process id");
  ScopeRequest request{.pid = static_cast<pid_t>(pid),
                       .delegated = argc == 3 && std::string_view(argv[2]) == "delegated"};
  request.unit = UnitName(request.pid, request.delegated);
  if (!request.delegated) request.limits = TRY(ParseLimitWords({argv + 2, argv + argc}));
  std::string mount = CgroupMountIn(TRY(ReadFile("/proc/self/mountinfo")));  // systemd's paths begin there
  if (mount.empty())
    return Fail(Code::kFailedPrecondition, "limits take cgroup v2, which is not mounted here");
  sd_bus* bus = TRY(OpenManager());
  std::string cgroup = TRY(StartScope(bus, request));
  TRY(CheckLimitsHold(mount + cgroup, request.limits));
  sd_bus_flush_close_unref(bus);
  return cgroup;
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv) {
  auto cgroup = slipway::Main(argc, argv);
  std::printf("%s %s\n", cgroup ? "cgroup" : "error",
              cgroup ? cgroup->c_str() : cgroup.error().message.c_str());
  return cgroup ? 0 : 1;
}
