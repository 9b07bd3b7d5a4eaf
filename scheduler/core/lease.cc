// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/lease.h"

#include <algorithm>

namespace slipway::scheduler {

std::uint32_t State::LeaseOf(const Job& job) const {
  if (leases.empty()) return 0;
  const std::vector<JobId> whole = ComponentsOf(job.id);
  JobId asked = job.array.value != 0 ? job.array : whole.empty() ? job.id : whole.front();
  auto at = leases.find(asked);
  return at == leases.end() ? 0 : at->second;
}

std::optional<std::int64_t> ShortestLeaseWait(const State& state, std::string_view name, std::int64_t end_s) {
  const Node* node = state.leases.empty() ? nullptr : state.FindNode(name);
  std::optional<std::int64_t> shortest;
  if (node == nullptr || node->state == NodeState::kUp) return shortest;
  for (JobId id : node->jobs) {
    std::uint32_t lease_s = state.LeaseOf(*state.FindJob(id));
    if (lease_s == 0) continue;
    std::int64_t wait = LeaseWait(lease_s, end_s);
    shortest = std::min(shortest.value_or(wait), wait);
  }
  return shortest;
}

Result<> CheckLease(std::uint32_t lease_s) {
  if (lease_s == 0 || (lease_s >= kLeaseMin_s && lease_s <= kLeaseMax_s)) return {};
  return Fail(Code::kInvalidArgument, "--lease ", lease_s, " s: from ", kLeaseMin_s, " s to 30 days");
}

}  // namespace slipway::scheduler
