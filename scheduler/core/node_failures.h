// SPDX-License-Identifier: Apache-2.0
// A node on which nothing can be started takes one job after the other, as it is always free. One user's jobs
// may fail for his own reasons; when jobs of several users in a row could not run there, it is the node.
//
// Pure. Kept in memory only: a new controller begins to count anew.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "scheduler/core/state.h"

namespace slipway::scheduler {

class NodeFailures {
 public:
  // A part of a step has ended on the node. True when this makes `users_max` different users in a row whose
  // steps could not be started there or were lost; then it counts anew. A program that ran and failed says
  // nothing about the node; one that succeeded speaks for it.
  bool Ended(const std::string& node, std::uint32_t uid, std::int32_t exit_code, EndReason reason,
             std::uint32_t users_max);

 private:
  std::map<std::string, std::set<std::uint32_t>> in_a_row_;
};

}  // namespace slipway::scheduler
