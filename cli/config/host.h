// SPDX-License-Identifier: Apache-2.0
// Which ways of `slipway exec` this host leaves, and how to mend what is shut. Reading the host is apart from
// judging it, so that hosts which are not at hand can be judged in a test.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result/result.h"

namespace slipway::cli {

struct HostFacts {
  // Sysctls; absent: this kernel has no such setting.
  std::optional<std::string> userns_clone, userns_max, apparmor_restricts;
  bool fuse_usable = false;  // /dev/fuse is there and everybody may open it
  bool squashfuse = false;   // slipway-squashfuse or squashfuse_ll is installed
  std::string starter;       // its path; empty: not found
  bool starter_setuid = false, starter_nosuid_mount = false;
  std::string conf_path;
  std::string conf_mistake;  // empty: there is none, or no file
  bool conf_trusted = true;  // root's, and writable by nobody else
  bool allow_setuid = true, allow_exec = true;
  bool broker_serves = false;  // somebody listens on exec.sock
  std::string exec_socket;
};
HostFacts ReadHost();

struct Finding {
  std::string what;  // "brokered", "setuid", "rootless", "fuse", …
  bool good = false;
  std::string why;   // one sentence
  std::string mend;  // what root would do; empty when good or when there is nothing to do
};
// The three ways first, in the order in which they are tried.
std::vector<Finding> JudgeHost(const HostFacts& facts);

}  // namespace slipway::cli
