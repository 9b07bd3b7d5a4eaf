// SPDX-License-Identifier: Apache-2.0
#include "cli/show/grouped.h"

#include <algorithm>

namespace slipway::cli {

std::vector<std::string> GroupedByReason(const std::vector<std::string>& what) {
  struct Group {
    std::string names, reason;  // ": WHY"; or empty
  };
  std::vector<Group> groups;
  for (const std::string& line : what) {
    std::size_t colon = std::min(line.find(": "), line.size());
    std::string name = line.substr(0, colon), reason = line.substr(colon);
    auto same = std::find_if(groups.begin(), groups.end(),
                             [&](const Group& group) { return !reason.empty() && group.reason == reason; });
    if (same == groups.end()) {
      groups.push_back({name, reason});
    } else {
      same->names += ", " + name;
    }
  }
  std::vector<std::string> lines;
  for (const Group& group : groups) lines.push_back(group.names + group.reason);
  return lines;
}

}  // namespace slipway::cli
