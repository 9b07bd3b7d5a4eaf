// SPDX-License-Identifier: Apache-2.0
// A dev cluster is one folder: `dev up` makes it, the supervisor and its daemons live in it, `dev down`
// removes it. Where each thing lies is said here once.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result/result.h"

namespace slipway::dev {

inline constexpr unsigned kNodesMax = 200;  // of the 253 addresses of 10.77.0.0/24
// Accounts that need not exist: files and sockets are judged by number.
inline constexpr uid_t kDaemonUid = 64321, kImportUid = 64322;

struct Options {
  std::string name = "dev";
  unsigned nodes = 2;
  unsigned cores = 0;              // of each node; 0: what hwloc finds
  std::uint64_t memory_bytes = 0;  // of each node; 0: what hwloc finds
  std::vector<std::string> share;  // host folders that nodes see although they lie under /tmp
  std::string host_tree;           // where the nodes look for devices; empty: this machine
  bool daemons = true;             // off: namespaces only, for tests of them
};

struct Layout {
  std::string name, state;

  std::string cluster() const { return state + "/cluster"; }
  std::string bin() const { return state + "/bin"; }
  std::string log(const std::string& daemon) const { return Cat(state, "/log/", daemon, ".log"); }
  std::string pid_file(const std::string& daemon) const { return Cat(state, "/run/", daemon, ".pid"); }
  std::string lock() const { return state + "/supervisor.lock"; }
  std::string hosts() const { return state + "/hosts"; }
  std::string context() const { return state + "/context.toml"; }
  std::string controller() const { return state + "/controller"; }
  std::string socket() const { return controller() + "/run/slipwayd.sock"; }
  std::string token_socket() const { return controller() + "/run/token.sock"; }
  std::string node(const std::string& node) const { return Cat(state, "/nodes/", node); }
  std::string cgroup() const { return "slipway-dev-" + name; }  // below the cgroup2 mount
};

inline std::string NodeName(unsigned k) { return Cat("n", k); }  // from 1
inline std::string NodeAddress(unsigned k) { return Cat("10.77.0.", k); }
inline constexpr const char* kControllerAddress = "10.77.0.254";

// root: /var/lib/slipway/dev/NAME, else $XDG_STATE_HOME/slipway/dev/NAME. kInvalidArgument for a name that is
// no host name label, or a path too long for a Unix socket.
Result<Layout> LayoutOf(const std::string& name);

}  // namespace slipway::dev
