// SPDX-License-Identifier: Apache-2.0
// A site that had to write down the GPUs of each node would write them down wrongly; agents find them and say
// so when they register. What they said is kept in a file, because jobs are planned and submitted before
// every node is back after a restart. What a site's own settings say of a node's GPUs wins.
//
// Loop's thread only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/wire/wire.h"
#include "scheduler/core/site.h"

namespace slipway::scheduler {

struct DiscoveredGpu {
  std::string id, type;
  bool operator==(const DiscoveredGpu&) const = default;
};
void Fields(auto& archive, IsA<DiscoveredGpu> auto& v) { archive(v.id, v.type); }

class DiscoveredGpus {
 public:
  // `file` empty: nothing is kept. One that cannot be read is as none: agents will say it again.
  static DiscoveredGpus Load(std::string file);

  // In the order in which they will be numbered: those of a type together. True when something changed; it is
  // in the file then, or the log says why not.
  bool Learn(const std::string& node, std::vector<DiscoveredGpu> gpus);
  bool Knows(const std::string& node, std::vector<DiscoveredGpu> gpus) const;
  bool empty() const { return nodes_.empty(); }

  // The configured site, and for nodes of which it says nothing what is known. Types beyond those that the
  // planner can tell apart are GPUs of no type; `untyped` says which. Pure.
  Site AddedTo(const Site& configured, std::vector<std::string>* untyped = nullptr) const;

 private:
  std::string file_;
  std::map<std::string, std::vector<DiscoveredGpu>> nodes_;
};

}  // namespace slipway::scheduler
