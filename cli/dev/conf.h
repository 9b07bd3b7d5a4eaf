// SPDX-License-Identifier: Apache-2.0
// What the daemons of a dev cluster read: the same files as a site's, made from the layout.
#pragma once

#include <string>

#include "cli/dev/layout.h"

namespace slipway::dev {

// Who the daemons are. Rootless: all of them the caller.
struct Identities {
  bool rootless = false;
  uid_t daemon_uid = 0, import_uid = 0;
  gid_t daemon_gid = 0, import_gid = 0;
  bool systemd = false;  // runs this machine, and is asked for the cluster's cgroup
};

std::string ControllerToml(const Layout& layout, const Options& options, const std::string& cluster_id);
std::string AgentToml(const Layout& layout, const Options& options, const std::string& cluster_id,
                      unsigned k);
// Of the broker and holder in `folder`; `node` is a node's name or "controller".
std::string BrokerConf(const Layout& layout, const Identities& who, const std::string& cluster_id,
                       const std::string& node, const std::string& folder);
std::string HostsFile(const std::string& hosts_of_host, unsigned nodes);

}  // namespace slipway::dev
