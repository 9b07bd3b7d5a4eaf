// SPDX-License-Identifier: Apache-2.0
// A virtual node is what its namespaces are: network, host name, mounts, System V IPC. They are made by a
// short-lived child and kept by descriptor, so a daemon that dies takes nothing with it. Everything here
// needs a single-threaded process that is root, or in a user namespace that it made (EnterUserNamespace).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/os/process.h"
#include "base/result/result.h"

namespace slipway::dev {

// The rootless way: a user namespace with the identity map of the caller, capabilities ambient, so that what
// is started keeps them. kPermissionDenied names the sysctl that forbids it.
Result<> EnterUserNamespace();
// May a fresh /proc be mounted in a new PID namespace? Not where the host's own is masked (inside a
// container).
bool CanMountProc();

struct NodeNamespaces {
  std::string host_name;
  UniqueFd network, uts, mounts, ipc;
};

struct NodeShape {
  std::string host_name;
  std::string hosts_file;  // bound over /etc/hosts; empty: not
  std::vector<std::string>
      keep;  // folders seen as on the host although a file system of the node's own hides them
};
// With file systems of its own on /tmp, /var/tmp and /dev/shm, and loopback up.
Result<NodeNamespaces> MakeNode(const NodeShape& shape);
// For what runs in the caller's own namespaces, such as the controller.
inline const NodeNamespaces kHere{};

struct DaemonStart {
  std::vector<std::string> argv;  // argv[0] is a path
  std::string log;                // stdout and stderr are appended to it
  uid_t uid = 0;                  // 0: as we are
  gid_t gid = 0;
};
Result<Process> StartIn(const NodeNamespaces& node, const DaemonStart& start);

// Runs `ip -batch` in the namespaces of `node`, every line of `commands` being one command.
Result<> RunIp(const NodeNamespaces& node, const std::string& commands);
// The bridge of the caller's network namespace, with the controller's address; loopback up.
Result<> MakeBridge();
// A cable from node `k` to the bridge, its address at the node's end.
Result<> PlugIn(const NodeNamespaces& node, unsigned k);

}  // namespace slipway::dev
