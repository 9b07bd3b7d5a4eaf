// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/node_failures.h"

namespace slipway::scheduler {

bool NodeFailures::Ended(const std::string& node, std::uint32_t uid, std::int32_t exit_code, EndReason reason,
                         std::uint32_t users_max) {
  if (reason == EndReason::kExited && exit_code == 0) in_a_row_.erase(node);
  if (users_max == 0 || (reason != EndReason::kLaunchFailed && reason != EndReason::kLost)) return false;
  std::set<std::uint32_t>& users = in_a_row_[node];
  users.insert(uid);
  if (users.size() < users_max) return false;
  in_a_row_.erase(node);
  return true;
}

}  // namespace slipway::scheduler
