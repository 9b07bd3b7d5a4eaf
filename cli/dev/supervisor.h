// SPDX-License-Identifier: Apache-2.0
// A dev cluster must vanish whatever dies first, so it is two processes. The outer one is an ordinary process
// of the host: it holds the lock file and writes pid files, because only it sees the host's process ids. The
// inner one is the first process of a PID namespace: it makes the nodes and keeps the daemons running, and
// when it ends the kernel ends every process of the cluster, steps included; network, mounts and loop devices
// go with their namespaces.
#pragma once

#include <string>
#include <vector>

#include "base/os/fd.h"
#include "cli/dev/conf.h"
#include "cli/dev/layout.h"

namespace slipway::dev {

struct DaemonSpec {
  std::string name;  // of its log and pid file: "n1-agent"
  int node = 0;      // 0: beside the controller
  std::vector<std::string> argv;
  std::string wait_for;  // a path that must be there before it is started; empty: none
  uid_t uid = 0;         // 0: as the supervisor
  gid_t gid = 0;
  int stage = 0;  // at the end stage 0 is ended first, then 1, …
};
// In the order in which they are started.
std::vector<DaemonSpec> Daemons(const Layout& layout, const Options& options, const Identities& who);

// The outer process. Does not return before the cluster has ended. One line goes to `report_fd`, which is
// then closed: "ok" when nodes are made and daemons started, or what failed.
Result<> Supervise(const Layout& layout, const Options& options, const Identities& who, UniqueFd report_fd);

// The inner process: in its new namespaces. `registrar` is a SEQPACKET socket to the outer one that takes a
// daemon's name with its pidfd.
[[noreturn]] void RunInside(const Layout& layout, const Options& options, const Identities& who,
                            int registrar, UniqueFd report_fd);

}  // namespace slipway::dev
