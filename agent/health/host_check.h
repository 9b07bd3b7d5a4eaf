// SPDX-License-Identifier: Apache-2.0
// What this host can and cannot do as a node, and how to mend it: `slipway-agent --check`, for whoever sets a
// node up. Looks and changes nothing; what only root may see is said to be unknown to others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace slipway {

struct HostFinding {
  enum Kind : std::uint8_t { kGood, kWarning, kBad };
  Kind kind = kGood;
  std::string what;  // "user namespaces: 30000 may be made"
  std::string mend;  // one line; empty when there is nothing to do
};

struct HostPaths {
  std::string root;  // before every path that is looked at; empty: this host's own (tests have another)
  std::string state_dir, broker_socket;
  std::vector<std::string> accounts = {"slipway", "slipway-import"};
};

std::vector<HostFinding> CheckHost(const HostPaths& paths);
// A line or two each, the bad ones first; and whether none is bad.
std::string Show(const std::vector<HostFinding>& findings);
bool AllGood(const std::vector<HostFinding>& findings);

}  // namespace slipway
