// SPDX-License-Identifier: Apache-2.0
// A cluster of one user on one host, without root: what its daemons read, for the units that
// packaging/systemd-user installs. `slipway dev up` is for trying things out and ends with them; this one is
// started by the user's systemd, at boot where he lingers, and its limits hold as far as the system delegates
// controllers to him.
//
// Any thread.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>

#include "api/context.h"
#include "base/result/result.h"

namespace slipway::cli {

struct OwnCluster {
  std::string folder;      // of its settings, keys and certificates; the units look in ~/.config/slipway
  std::string home;        // of the user; state is in .local/state/slipway there
  std::string name, node;  // of the cluster and of its one node
  std::string id;          // the cluster's
  uid_t uid = 0;
  gid_t gid = 0;
  unsigned port = 6831;  // of the controller on the loopback; the next one is the agent's
};

// The files by absolute path, and how its user's commands reach it. Pure.
std::map<std::string, std::string> FilesOf(const OwnCluster& cluster);
Context ContextOf(const OwnCluster& cluster);

// Makes its folders and writes them; one that is there already is kept.
Result<> WriteFiles(const OwnCluster& cluster);

}  // namespace slipway::cli
