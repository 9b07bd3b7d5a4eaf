// SPDX-License-Identifier: Apache-2.0
// The site's network as the planner has it: nodes in the order in which they hang together, and the switches
// above them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result/result.h"
#include "scheduler/core/site.h"
#include "scheduler/plan/topology.h"

namespace slipway::scheduler {

// Names given twice, switches that are not there or above themselves, a torus with too few or many nodes.
Result<> CheckNetwork(const NetworkRules& rules);

class NetworkOrder {
 public:
  explicit NetworkOrder(const NetworkRules& rules);  // that CheckNetwork finds right
  // Nodes that are near have near places. Those that the site does not name come last.
  std::uint32_t PositionOf(const std::string& node) const;
  // `names`: by number.
  plan::Topology TopologyOf(const std::vector<std::string>& names) const;

 private:
  void AddTree(const NetworkRules& rules);
  void AddBlocks(const NetworkRules& rules);
  void AddTorus(const NetworkRules& rules);

  plan::Network network_ = plan::Network::kFlat;
  struct Place {
    std::uint32_t position = 0, leaf = 0;
  };
  std::map<std::string, Place, NodeNameLess> places_;
  std::vector<std::uint32_t> parent_;  // as in plan::Topology
  std::uint32_t other_leaf_ = 0;       // of nodes that are not named
};

}  // namespace slipway::scheduler
